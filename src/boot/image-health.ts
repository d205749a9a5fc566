import { dirname, join } from 'node:path'
import { readJsonFile } from './json-file.ts'
import type { MounterState } from './mounter-protocol.ts'
import type { Waiting } from './stall-watch.ts'

export type { Waiting } from './stall-watch.ts'

/**
 * What the reads of a container's image wait for, as its mounter has written it: who only looks must not wait for
 * a mounter.
 */
export async function readWaiting({
  mounterSocket
}: {
  readonly mounterSocket: string
}): Promise<Waiting | null> {
  const state = await readJsonFile<MounterState>(join(dirname(mounterSocket), 'state.json'))
  return state?.waiting ?? null
}
