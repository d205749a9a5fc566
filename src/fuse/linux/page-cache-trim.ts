import { open, type FileHandle } from 'node:fs/promises'
import { adviseFile, POSIX_FADV_DONTNEED } from './advise-file.ts'

/** Served bytes after which the device's page cache is dropped at the latest. */
const TRIM_BYTES = 64 * 1024 * 1024
/** Quiet time after which it is dropped. */
const IDLE_MS = 1000

/**
 * Keeps the kernel from caching content twice. EROFS reads the data device through the page cache,
 * which gives large requests, and caches what it reads under its own inodes; the device's pages are
 * not needed again. This drops them now and then.
 */
export class PageCacheTrim implements AsyncDisposable {
  readonly #file: FileHandle
  #pendingBytes = 0
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #isResting = false

  private constructor(file: FileHandle) {
    this.#file = file
  }

  /**
   * Closing a FUSE file asks its server to flush it, and a process that is killed closes its files when
   * it can no longer answer: it would hang for ever on a file of its own. The server answers the first
   * flush with ENOSYS, after which the kernel asks no more; so one is done before the file is kept.
   *
   * @param path the device's file; served by this thread, so everything here is asynchronous
   */
  static async open(path: string): Promise<PageCacheTrim> {
    await (await open(path, 'r')).close()
    return new PageCacheTrim(await open(path, 'r'))
  }

  /** Tells that the kernel has read `bytes` bytes of the device. */
  served(bytes: number): void {
    if (this.#isResting) return
    this.#pendingBytes += bytes
    if (this.#pendingBytes >= TRIM_BYTES) this.#start()
    else if (this.#timer === undefined)
      this.#timer = setTimeout(() => this.#start(), IDLE_MS).unref()
    else this.#timer.refresh()
  }

  /** Drops nothing while somebody fills the cache for others, who are still to come then. */
  async restDuring(filling: Promise<void>): Promise<void> {
    this.#isResting = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    await filling
    this.#isResting = false
    this.#pendingBytes = 0
    this.served(0)
  }

  #start(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#pendingBytes = 0
    this.#running ??= adviseFile(this.#file.fd, POSIX_FADV_DONTNEED).finally(() => {
      this.#running = undefined
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer)
    await this.#running
    await this.#file.close()
  }
}
