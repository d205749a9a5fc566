import type { GrowingColumn } from '../../core/growing-column.ts'

const WORD = 2 ** 32

/** Words of 32 bits that a {@link FileStatus} takes. */
export const STATUS_WORDS = 12
const [DEVICE, INODE, SIZE, MTIME, CTIME] = [0, 2, 4, 6, 9]

/**
 * What changes when a file does, of stat(2): major and minor number of the device, inode number, size,
 * then seconds and nanoseconds of mtime and ctime. A view of words, as big integers would be made of each
 * of many files.
 */
export class FileStatus {
  protected readonly words: Uint32Array
  readonly #start: number

  /** @param start where the {@link STATUS_WORDS} are */
  constructor(words: Uint32Array, start: number) {
    this.words = words
    this.#start = start
  }

  /** `st_dev`. @see gnu_dev_makedev(3) */
  get device(): bigint {
    const [major, minor] = [BigInt(this.#word(DEVICE)), BigInt(this.#word(DEVICE + 1))]
    return (
      ((major & 0xfffn) << 8n) |
      ((major & ~0xfffn) << 32n) |
      (minor & 0xffn) |
      ((minor & ~0xffn) << 12n)
    )
  }

  get inode(): bigint {
    return (BigInt(this.#word(INODE + 1)) << 32n) | BigInt(this.#word(INODE))
  }

  get size(): number {
    return this.#word(SIZE) + this.#word(SIZE + 1) * WORD
  }

  get mtimeSeconds(): number {
    return this.#seconds(MTIME)
  }

  /** 0 to 999,999,999, also before 1970. */
  get mtimeNanoseconds(): number {
    return this.#word(MTIME + 2)
  }

  /** Since the epoch, as exact as a number can be. */
  get mtimeMs(): number {
    return this.#milliseconds(MTIME)
  }

  get ctimeMs(): number {
    return this.#milliseconds(CTIME)
  }

  /** Whether a file is the same and unchanged, as far as stat(2) can tell. */
  equals(other: FileStatus): boolean {
    for (let word = 0; word < STATUS_WORDS; word++) {
      if (this.#word(word) !== other.#word(word)) return false
    }
    return true
  }

  /** Pushes its {@link STATUS_WORDS}. */
  pushTo(column: GrowingColumn<Uint32Array>): void {
    column.pushRange(this.words, this.#start, this.#start + STATUS_WORDS)
  }

  #word(word: number): number {
    return this.words[this.#start + word]!
  }

  #seconds(word: number): number {
    return this.#word(word) + (this.#word(word + 1) | 0) * WORD
  }

  #milliseconds(word: number): number {
    return this.#seconds(word) * 1e3 + this.#word(word + 2) / 1e6
  }
}
