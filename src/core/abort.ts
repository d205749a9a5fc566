import { setMaxListeners } from 'node:events'
import { ContainerError } from './errors.ts'

/**
 * Waits for `promise` until `signal` aborts. The promise itself is left to end on its own; what it
 * holds must be released by its owner.
 *
 * @throws whatever the signal was aborted with
 */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  let onAbort: (() => void) | undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  promise.catch(() => {})
  try {
    return await Promise.race([promise, aborted])
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort)
  }
}

/**
 * A controller whose signal any number of waits may listen to at once. Node warns of a leak at more
 * than ten listeners; reads in flight are more.
 */
export function sharedController(): AbortController {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  return controller
}

/** Resolves after `ms`, sooner when `signal` aborts; never rejects. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done, { once: true })
  })
}

/** A signal that aborts with `parent`, or with `PEERS_UNREACHABLE` after `timeoutMs`. */
export function peerDeadline(
  parent: AbortSignal | undefined,
  timeoutMs: number,
  what: string
): { signal: AbortSignal; clear: () => void } {
  const controller = sharedController()
  const onParent = (): void => controller.abort(parent?.reason ?? cancelled())
  if (parent?.aborted) onParent()
  parent?.addEventListener('abort', onParent, { once: true })
  // What is waited for keeps the process alive; its deadline alone must not.
  const timer = setTimeout(() => controller.abort(unreachable(what, timeoutMs)), timeoutMs).unref()
  const clear = (): void => {
    clearTimeout(timer)
    parent?.removeEventListener('abort', onParent)
  }
  return { signal: controller.signal, clear }
}

export function cancelled(): ContainerError {
  return new ContainerError('CANCELLED', 'cancelled')
}

/** What a read ends with that no peer answered in time. */
export function unreachable(what: string, timeoutMs: number): ContainerError {
  return new ContainerError(
    'PEERS_UNREACHABLE',
    `no peer sent ${what} within ${Math.round(timeoutMs / 100) / 10} s`,
    {
      hint: 'check that a machine that shares or mirrors it is online and reachable, or wait longer with --peer-timeout SECONDS'
    }
  )
}
