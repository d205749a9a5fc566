import test from 'brittle'
import { evenWire } from '../../bench/wan/star.ts'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import type { Listed } from '../e2e/results.ts'
import { LONG } from '../e2e/sandbox.ts'
import { pullOverLink } from './pull-over-link.ts'

/** At one Mbit/s all of it takes longer than one block may be silent. */
const IMAGE = { files: 32, fileBytes: 60_000 }

void test('a pull over a slow link fetches every block once', LONG, async (t) => {
  const before = snapshot()
  await pullOverLink({ ...IMAGE, wire: evenWire(1e6, 100) }, async ({ times, reader }) => {
    // Its files do not compress: with less, it is not all here.
    t.ok(times >= 1 && times < 1.2, `what came is ${times.toFixed(2)} times the image`)
    const [image] = await reader.json<Listed[]>('images')
    t.is(image?.blocksHeld, image?.blocksKnown, `${image?.blocksHeld} blocks are here`)
  })
  t.alike(await leftAfter(before), [], 'nothing is left')
})
