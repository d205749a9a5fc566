import { open, type FileHandle } from 'node:fs/promises'
import koffi from 'koffi'

const POSIX_FADV_DONTNEED = 4
/** Served bytes after which the device's page cache is dropped at the latest. */
const TRIM_BYTES = 64 * 1024 * 1024
/** Quiet time after which it is dropped. */
const IDLE_MS = 1000

type Fadvise = (
  fd: number,
  offset: number,
  length: number,
  advice: number,
  done: (error: unknown, result: number) => void
) => void

/**
 * Keeps the kernel from caching content twice. EROFS reads the data device through the page cache,
 * which gives large requests, and caches what it reads under its own inodes; the device's pages are
 * not needed again. This drops them now and then.
 */
export class PageCacheTrim implements AsyncDisposable {
  readonly #file: FileHandle
  readonly #fadvise: Fadvise
  #pendingBytes = 0
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined

  private constructor(file: FileHandle) {
    this.#file = file
    const library = koffi.load(null)
    const call = library.func('int posix_fadvise(int, int64_t, int64_t, int)')
    this.#fadvise = call.async as Fadvise
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
    this.#pendingBytes += bytes
    if (this.#pendingBytes >= TRIM_BYTES) this.#start()
    else if (this.#timer === undefined)
      this.#timer = setTimeout(() => this.#start(), IDLE_MS).unref()
    else this.#timer.refresh()
  }

  #start(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#pendingBytes = 0
    this.#running ??= this.#drop().finally(() => {
      this.#running = undefined
    })
  }

  /** Advice: that it fails would cost memory, not correctness. */
  async #drop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#fadvise(this.#file.fd, 0, 0, POSIX_FADV_DONTNEED, () => resolve())
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer)
    await this.#running
    await this.#file.close()
  }
}
