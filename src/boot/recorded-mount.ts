import { setTimeout as sleep } from 'node:timers/promises'
import { ContainerError } from '../image/errors.ts'
import { acquireMount, type AcquireMountOptions, type MountLease } from './mount-lease.ts'

/** Longer than an image stays mounted after its last use. */
const PATIENCE_MS = 5_000
const RETRY_MS = 250

/**
 * Mounts an image whose start is to be recorded. What somebody else has mounted is in the kernel's
 * page cache already, so that a start would not touch it all: that mount must be gone first.
 *
 * @throws ContainerError `BUSY` while somebody else uses the image; what {@link acquireMount} throws
 */
export async function acquireRecordedMount(options: AcquireMountOptions): Promise<MountLease> {
  const { started: _used, ...again } = options
  const deadline = performance.now() + PATIENCE_MS
  for (let first = true; ; first = false) {
    const lease = await acquireMount(first ? options : again)
    try {
      if (await lease.claimRecording()) return lease
    } catch (error) {
      await lease[Symbol.asyncDispose]()
      throw error
    }
    const { image } = lease.facts
    await lease[Symbol.asyncDispose]()
    if (performance.now() > deadline) {
      throw new ContainerError('BUSY', `${image} is in use, so its start cannot be recorded`, {
        hint: 'stop its other containers and mounts, then record it: dat-container ps'
      })
    }
    await sleep(RETRY_MS)
  }
}
