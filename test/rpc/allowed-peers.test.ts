import test from 'brittle'
import { formatKey } from '../../src/p2p/link.ts'
import { parseAllow } from '../../src/rpc/allowed-peers.ts'
import { isContainerError } from '../../src/core/errors.ts'

test('keys of a private swarm are read in both forms, and nothing else is', (t) => {
  const [one, two] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
  const hex = two.toString('hex')
  t.alike(parseAllow(`${formatKey(one)}, ${hex},`), new Set([one.toString('hex'), hex]))
  t.is(parseAllow(undefined), undefined)
  t.is(parseAllow(''), undefined)
  const link = `dat://${formatKey(one)}`
  for (const wrong of [',', ' ', 'friend', `${hex}1`, `${link}@1`, `${link}#${formatKey(two)}`]) {
    try {
      parseAllow(wrong)
      t.fail(wrong)
    } catch (error) {
      t.ok(isContainerError(error, 'USAGE'), wrong)
    }
  }
})
