import { randomBytes } from 'node:crypto'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ContainerError, systemErrorCode } from './errors.ts'

/**
 * A file that is whole or absent: a temporary one beside it until {@link commit}. Disposing of it
 * before leaves nothing.
 */
export class AtomicFile implements AsyncDisposable {
  readonly #path: string
  readonly #temporary: string
  readonly #file: FileHandle
  #isOpen = true

  private constructor(path: string, temporary: string, file: FileHandle) {
    this.#path = path
    this.#temporary = temporary
    this.#file = file
  }

  /**
   * @param mode permission bits of the file @default 0o600
   * @throws ContainerError `DISK_FULL`, `IO`
   */
  static async create(path: string, mode = 0o600): Promise<AtomicFile> {
    // The directory may be one that others write to, as /tmp: what they have put there is not written through.
    const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
    try {
      return new AtomicFile(path, temporary, await open(temporary, 'wx', mode))
    } catch (cause) {
      throw writeError(path, cause)
    }
  }

  /** @throws ContainerError `DISK_FULL`, `IO` */
  async write(content: string | Uint8Array): Promise<void> {
    try {
      await this.#file.writeFile(content)
    } catch (cause) {
      throw writeError(this.#path, cause)
    }
  }

  /** What tells this file from all others of its file system, copies of it too; it stays when it is moved there. */
  async inode(): Promise<string> {
    return String((await this.#file.stat({ bigint: true })).ino)
  }

  /** Overwrites what was written at `position`. @throws ContainerError `DISK_FULL`, `IO` */
  async writeAt(content: Uint8Array, position: number): Promise<void> {
    try {
      for (let done = 0; done < content.length;) {
        const left = content.length - done
        done += (await this.#file.write(content, done, left, position + done)).bytesWritten
      }
    } catch (cause) {
      throw writeError(this.#path, cause)
    }
  }

  /** Flushes it, gives it its name, and flushes that too. @throws ContainerError `DISK_FULL`, `IO` */
  async commit(): Promise<void> {
    try {
      await this.#file.sync()
      await this.#file.close()
      await rename(this.#temporary, this.#path)
      this.#isOpen = false
      await syncDirectory(dirname(this.#path))
    } catch (cause) {
      throw writeError(this.#path, cause)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    await this.#file.close().catch(() => {})
    await rm(this.#temporary, { force: true })
  }
}

/** Forces to disk what was made, renamed or removed in a directory. @throws the system's error */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/**
 * Writes a file so that it is whole or absent.
 *
 * @param mode permission bits of the file @default 0o600
 * @throws ContainerError `DISK_FULL`, `IO`
 */
export async function writeFileAtomically(
  path: string,
  content: string | Uint8Array,
  mode = 0o600
): Promise<void> {
  await using file = await AtomicFile.create(path, mode)
  await file.write(content)
  await file.commit()
}

function writeError(path: string, cause: unknown): ContainerError {
  if (systemErrorCode(cause) === 'ENOSPC') {
    return new ContainerError('DISK_FULL', `the disk that holds ${dirname(path)} is full`, {
      hint: 'free some space and try again',
      cause
    })
  }
  return new ContainerError('IO', `cannot write ${path}: ${systemErrorCode(cause)}`, { cause })
}
