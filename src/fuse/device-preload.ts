import { open, type FileHandle } from 'node:fs/promises'
import koffi from 'koffi'
import type { DeviceRange } from './device-ranges.ts'

const POSIX_FADV_RANDOM = 1
/** Ranges that the kernel is asked to read at once: reads that somebody waits for queue behind them. */
const AT_ONCE = 2

/**
 * Has the kernel read parts of the data device into its page cache before anybody needs them: EROFS
 * then takes them from there, where each small read is a trip to this process otherwise.
 */
export class DevicePreload implements AsyncDisposable {
  readonly #path: string
  #running: Promise<void> | undefined
  #isEnded = false

  /** @param path the device's file, which was opened and closed before (see `PageCacheTrim.open`) */
  constructor(path: string) {
    this.#path = path
  }

  /** Begins, once. @param ranges in the order in which they will be needed */
  begin(ranges: readonly DeviceRange[]): void {
    if (!this.#isEnded) this.#running ??= this.#run(ranges)
  }

  /** Only saves time: who needs what cannot be read is told. */
  async #run(ranges: readonly DeviceRange[]): Promise<void> {
    try {
      await using file = await open(this.#path, 'r')
      const fadvise = koffi.load(null).func('int posix_fadvise(int, int64_t, int64_t, int)')
      // Else the kernel reads on where a range ends.
      fadvise(file.fd, 0, 0, POSIX_FADV_RANDOM)
      const rest = ranges.values()
      await Promise.all(Array.from({ length: AT_ONCE }, async () => this.#read(file, rest)))
    } catch {
      this.#isEnded = true
    }
  }

  async #read(file: FileHandle, ranges: Iterator<DeviceRange>): Promise<void> {
    for (let next = ranges.next(); !next.done && !this.#isEnded; next = ranges.next()) {
      const { offset, bytes } = next.value
      await file.read(Buffer.allocUnsafeSlow(bytes), 0, bytes, offset)
    }
  }

  /** Waits for no more than the reads that are under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true
    await this.#running
  }
}
