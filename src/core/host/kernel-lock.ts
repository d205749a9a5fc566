import { closeSync } from 'node:fs'
import { open, readFile, rm, stat, type FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import fsx from 'fs-native-extensions'
import { systemErrorCode } from '../errors.ts'

/**
 * A lock of an open file description (fcntl(2), F_OFD_SETLK): the kernel releases it when no process has the file
 * open any more, however they ended. A process that inherits the descriptor holds the lock, too.
 */
export interface KernelLock extends AsyncDisposable {
  readonly path: string
  readonly fd: number
}

export interface LockOptions {
  /** How long a lock that another process holds is tried again, in milliseconds. @default 0 */
  readonly waitMs?: number
  /**
   * The file stays when the lock is released: where a descriptor that was inherited may still hold it, or where its
   * text tells the holder. @default false
   */
  readonly keepFile?: boolean
  /** The file tells this process's id, see {@link lockHolder}. @default false */
  readonly tellHolder?: boolean
}

/** How often a lock that another process holds is tried again. */
const RETRY_MS = 20

/**
 * Takes the lock at `path`; the file (0600) is made where it is absent.
 *
 * @returns the lock, or undefined where another process still holds it after `waitMs`
 */
export async function takeLock(
  path: string,
  options: LockOptions = {}
): Promise<KernelLock | undefined> {
  const { waitMs = 0, keepFile = false, tellHolder = false } = options
  const deadline = performance.now() + waitMs
  for (;;) {
    const file = await tryOnce(path)
    if (file !== undefined) {
      const lock = lockOf(path, file, keepFile)
      if (tellHolder) await tell(lock, file)
      return lock
    }
    if (performance.now() >= deadline) return undefined
    await sleep(RETRY_MS)
  }
}

/** A lock that this process has inherited; its file goes with it. */
export function inheritedLock(path: string, fd: number): KernelLock {
  return {
    path,
    fd,
    async [Symbol.asyncDispose]() {
      await rm(path, { force: true })
      closeSync(fd)
    }
  }
}

/** The process id that the holder of a lock wrote, or undefined. */
export async function lockHolder(path: string): Promise<number | undefined> {
  const pid = Number.parseInt(await readFile(path, 'utf8').catch(() => ''), 10)
  return Number.isSafeInteger(pid) ? pid : undefined
}

async function tryOnce(path: string): Promise<FileHandle | undefined> {
  for (;;) {
    const file = await open(path, 'a+', 0o600)
    if (!fsx.tryLock(file.fd)) {
      await file.close()
      return undefined
    }
    // The previous holder may have removed the file between our open and our lock; then this lock
    // is on a file that nobody else can find.
    if (await isSameFile(path, file)) return file
    await file.close()
  }
}

function lockOf(path: string, file: FileHandle, keepFile: boolean): KernelLock {
  return {
    path,
    fd: file.fd,
    async [Symbol.asyncDispose]() {
      if (!keepFile) await rm(path, { force: true })
      await file.close()
    }
  }
}

async function tell(lock: KernelLock, file: FileHandle): Promise<void> {
  try {
    await file.truncate()
    await file.write(`${process.pid}\n`)
  } catch (error) {
    await lock[Symbol.asyncDispose]()
    throw error
  }
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
