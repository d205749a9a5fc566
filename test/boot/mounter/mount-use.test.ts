import test from 'brittle'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MountUse } from '../../../src/boot/mounter/mount-use.ts'
import { MounterStateFile } from '../../../src/boot/mounter/mounter-state.ts'

/** Longer than an image without a lease stays that goes at once. */
const LONGER_MS = 500

void test('who comes before the image is mounted keeps it, whoever left before', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dc-use-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  using use = new MountUse(new MounterStateFile(join(directory, 'state.json')), true)
  // One gave up while peers were looked for; another still waits for them.
  use.leasesAre(1)
  use.leasesAre(0)
  await sleep(LONGER_MS)
  use.leasesAre(1)
  let hasEnded = false
  const ended = use.ended(new AbortController().signal).then(() => (hasEnded = true))
  await sleep(LONGER_MS)
  t.absent(hasEnded, 'it is used')
  use.leasesAre(0)
  await ended
  t.pass('and goes with the last')
})
