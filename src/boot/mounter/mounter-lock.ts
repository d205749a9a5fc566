import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { ContainerError } from '../../core/errors.ts'
import { takeLock, type KernelLock } from '../../core/host/kernel-lock.ts'
import type { MounterPaths } from '../state/paths.ts'

/** A dying mounter of the same image gets this long to unmount before its successor gives up. */
const TAKEOVER_MS = 30_000
const RETRY_MS = 50

/** Takes the lock of a mount. @returns undefined when another mounter holds it and responds */
export async function lockOrFindOther(
  paths: MounterPaths,
  signal: AbortSignal
): Promise<KernelLock | undefined> {
  const deadline = performance.now() + TAKEOVER_MS
  for (;;) {
    const lock = await takeLock(paths.lock)
    if (lock !== undefined) return lock
    if (await answers(paths.socket)) return undefined
    if (performance.now() > deadline) {
      throw new ContainerError(
        'BUSY',
        'the mounter of this image held its lock for 30 s without responding',
        {
          hint: `find the process that has ${paths.lock} open, and kill it`
        }
      )
    }
    await sleep(RETRY_MS, undefined, { signal })
  }
}

async function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
