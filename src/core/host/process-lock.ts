import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import fsx from 'fs-native-extensions'

/** A lock that the kernel releases when its process dies, however it dies. */
export interface ProcessLock extends Disposable {
  readonly path: string
}

/**
 * Takes the lock at `path` (created when absent) and writes this process's id into it.
 *
 * @returns the lock, or undefined when another process holds it
 */
export function tryProcessLock(path: string): ProcessLock | undefined {
  const descriptor = openSync(path, 'a+', 0o600)
  let held = false
  try {
    held = fsx.tryLock(descriptor)
    if (!held) return undefined
    ftruncateSync(descriptor)
    writeSync(descriptor, `${process.pid}\n`)
    return { path, [Symbol.dispose]: () => closeSync(descriptor) }
  } finally {
    if (!held) closeSync(descriptor)
  }
}

/** The process id that the holder of a lock wrote, or undefined. */
export function lockHolder(path: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(path, 'utf8'), 10)
    return Number.isSafeInteger(pid) ? pid : undefined
  } catch {
    return undefined
  }
}
