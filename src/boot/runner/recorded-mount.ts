import { setTimeout as sleep } from 'node:timers/promises'
import { ContainerError } from '../../core/errors.ts'
import { describeUsers, imageUsers } from '../containers/image-users.ts'
import { acquireMount, type AcquireMountOptions, type MountLease } from '../lease/mount-lease.ts'

/** Longer than an image stays mounted after its last use. */
const PATIENCE_MS = 12_000
/** Asking is a use, too: asked sooner, the mount would stay. */
const RETRY_MS = 2_500

/**
 * Mounts an image whose start is to be recorded. A start reads nothing that is in the kernel's page cache, so an
 * existing mount of the image must end first.
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
    const { image, key } = lease.facts
    await lease[Symbol.asyncDispose]()
    // A mount without users ends in a moment; one with users stays.
    const users = await runningUsers(options.home, key)
    if (users !== '' || performance.now() > deadline) {
      const by = users === '' ? '' : ` by ${users}`
      throw new ContainerError('BUSY', `${image} is in use${by}, so its start cannot be recorded`, {
        hint: 'content that was already read would not be recorded: stop its containers and mounts first (dat-container ps, findmnt)'
      })
    }
    await sleep(RETRY_MS)
  }
}

async function runningUsers(home: string, key: string): Promise<string> {
  const { containers, mounts } = await imageUsers(home, key)
  return describeUsers({ containers: containers.filter(({ isRunning }) => isRunning), mounts })
}
