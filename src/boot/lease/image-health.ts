import { dirname, join } from 'node:path'
import { readJsonFile } from '../../core/json-file.ts'
import { mounterState } from './mounter-protocol.ts'
import type { Waiting } from './stall-watch.ts'

export type { Waiting } from './stall-watch.ts'

/** How the image of a running container is. */
export interface ImageHealth {
  /** The cause of reads that have waited for more than a second; null if none has. */
  readonly waiting: Waiting | null
  /** The image's mounter has died and nobody goes on: what is not in the page cache cannot be read. */
  readonly imageLost: boolean
  /** How often its mounter has died and another gone on, and when the last did (ISO 8601, UTC). */
  readonly mounterRestarts: number
  readonly mounterRestartedAt: string | null
}

/**
 * Reads how the mounter of an image is doing from the file that the mounter writes. It never asks the mounter,
 * which may not respond.
 */
export async function readImageHealth(mounterSocket: string): Promise<ImageHealth> {
  const state = await readJsonFile(join(dirname(mounterSocket), 'state.json'), mounterState)
  return {
    waiting: state?.waiting ?? null,
    imageLost: state === undefined,
    mounterRestarts: state?.restarts ?? 0,
    mounterRestartedAt: state?.restartedAt ?? null
  }
}

/** The answer for a container that does not run. */
export const NO_IMAGE: ImageHealth = {
  waiting: null,
  imageLost: false,
  mounterRestarts: 0,
  mounterRestartedAt: null
}
