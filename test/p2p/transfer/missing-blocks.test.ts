import test from 'brittle'
import { MissingBlocks } from '../../../src/p2p/transfer/missing-blocks.ts'

test('missing blocks are taken in order, or at random, and what has arrived drops out', (t) => {
  const here = new Set([2, 7])
  const missing = new MissingBlocks([5, 2, 9, 7, 1], (block) => here.has(block))
  t.is(missing.takeFirst(), 5)
  t.is(missing.takeFirst(), 9)
  const seen = new Set<number | undefined>()
  for (let n = 0; n < 100; n++) seen.add(missing.at(n / 100))
  t.alike([...seen], [1])
  missing.take(1)
  t.is(missing.at(0.5), undefined)
  t.is(missing.takeFirst(), undefined)
  t.is(missing.size, 0)
})
