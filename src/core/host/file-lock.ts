import { closeSync } from 'node:fs'
import { open, rm, stat, type FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import fsx from 'fs-native-extensions'
import { systemErrorCode } from '../errors.ts'

/** Held until disposed or until this process dies, however it dies. The file goes with it. */
export interface FileLock extends AsyncDisposable {
  readonly path: string
  /** As long as any process has inherited it open, the lock is held. */
  readonly fd: number
}

/** How often a lock that another process holds is tried again. */
const RETRY_MS = 20

/**
 * Takes the lock at `path`, trying for `waitMs` when somebody has it.
 *
 * @returns the lock, or undefined when it is still held
 */
export async function takeLock(path: string, waitMs = 0): Promise<FileLock | undefined> {
  const deadline = performance.now() + waitMs
  for (;;) {
    const lock = await tryOnce(path)
    if (lock !== undefined) return lock
    if (performance.now() >= deadline) return undefined
    await sleep(RETRY_MS)
  }
}

async function tryOnce(path: string): Promise<FileLock | undefined> {
  for (;;) {
    const file = await open(path, 'a+', 0o600)
    if (!fsx.tryLock(file.fd)) {
      await file.close()
      return undefined
    }
    // The previous holder may have removed the file between our open and our lock; then this lock
    // is on a file that nobody else can find.
    if (await isSameFile(path, file))
      return { path, fd: file.fd, [Symbol.asyncDispose]: () => release(file, path) }
    await file.close()
  }
}

/** A lock that this process has inherited. */
export function inheritedLock(path: string, fd: number): FileLock {
  return {
    path,
    fd,
    async [Symbol.asyncDispose]() {
      await rm(path, { force: true })
      closeSync(fd)
    }
  }
}

async function release(file: FileHandle, path: string): Promise<void> {
  await rm(path, { force: true })
  await file.close()
}

async function isSameFile(path: string, file: FileHandle): Promise<boolean> {
  try {
    const [named, held] = await Promise.all([stat(path), file.stat()])
    return named.ino === held.ino && named.dev === held.dev
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false
    throw error
  }
}
