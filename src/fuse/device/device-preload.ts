import { open, type FileHandle } from 'node:fs/promises'
import { adviseFile, POSIX_FADV_RANDOM } from '../linux/advise-file.ts'
import type { DeviceRange } from '../content/device-ranges.ts'

/** Ranges that the kernel is asked to read at once: reads that somebody waits for queue behind them. */
const AT_ONCE = 2
/** What is needed after so much has time to be read when it is. */
const MOST_BYTES = 256 * 1024 * 1024

/**
 * Has the kernel read parts of the data device into its page cache before anybody needs them: EROFS
 * then takes them from there, where each small read is a trip to this process otherwise.
 */
export class DevicePreload implements AsyncDisposable {
  readonly #path: string
  #running: Promise<void> | undefined
  #isEnded = false
  #bytes = 0

  /** @param path the device's file, which was opened and closed before (see `PageCacheTrim.open`) */
  constructor(path: string) {
    this.#path = path
  }

  /** Once; later calls wait for the first. @param ranges in the order in which they will be needed */
  async run(ranges: readonly DeviceRange[]): Promise<void> {
    if (!this.#isEnded) await (this.#running ??= this.#run(ranges))
  }

  /** Only saves time: who needs what cannot be read is told. */
  async #run(ranges: readonly DeviceRange[]): Promise<void> {
    try {
      await using file = await open(this.#path, 'r')
      // Else the kernel reads on where a range ends.
      await adviseFile(file.fd, POSIX_FADV_RANDOM)
      const rest = ranges.values()
      await Promise.all(Array.from({ length: AT_ONCE }, async () => this.#read(file, rest)))
    } catch {
      this.#isEnded = true
    }
  }

  async #read(file: FileHandle, ranges: Iterator<DeviceRange>): Promise<void> {
    for (let next = ranges.next(); !next.done && !this.#isEnded; next = ranges.next()) {
      const { offset, bytes } = next.value
      this.#bytes += bytes
      if (this.#bytes > MOST_BYTES) return
      await file.read(Buffer.allocUnsafeSlow(bytes), 0, bytes, offset)
    }
  }

  /** Waits for no more than the reads that are under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true
    await this.#running
  }
}
