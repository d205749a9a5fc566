import { loadLibC, systemError } from './libc.ts'
import type { FileStatus } from './file-list.ts'

/** Linux: relative to the working directory; symlinks not followed, automounts left alone. */
const AT_FDCWD = -100
const FLAGS = 0x100 | 0x800
/** All that stat(2) tells. */
const STATX_BASIC_STATS = 0x7ff
/** `struct statx`, of which the first half is used; here in words of 32 bits. @see statx(2) */
const BYTES = 256
const [NLINK, UID, GID, MODE, INO, SIZE] = [4, 5, 6, 7, 8, 10]
const [CTIME, MTIME, RDEV, DEV] = [24, 28, 32, 34]
const WORD = 2 ** 32
const NANOSECONDS = 1_000_000_000n

/**
 * lstat(2) into fields that are read when they are wanted. Node.js makes 18 big integers and a handful
 * of dates of each call, which takes longer than the call.
 */
export class StatusReader {
  readonly #words = new Uint32Array(BYTES / 4)
  readonly #bytes = new Uint8Array(this.#words.buffer)
  readonly #wide = new BigInt64Array(this.#words.buffer)
  /** Major, minor and both as one: most files are on the device of the one before. */
  #device: [major: number, minor: number, device: bigint] = [0, 0, 0n]

  /**
   * @param path ends with NUL
   * @throws the system's error, with its `code`
   */
  read(path: Uint8Array): void {
    const libc = loadLibC()
    if (libc.statx(AT_FDCWD, path, FLAGS, STATX_BASIC_STATS, this.#bytes) < 0) {
      throw systemError('lstat', path)
    }
  }

  /** File type and permissions. */
  get mode(): number {
    return this.#words[MODE]! & 0xffff
  }

  get linkCount(): number {
    return this.#words[NLINK]!
  }

  get uid(): number {
    return this.#words[UID]!
  }

  get gid(): number {
    return this.#words[GID]!
  }

  get size(): number {
    return this.#words[SIZE]! + this.#words[SIZE + 1]! * WORD
  }

  get mtimeSeconds(): number {
    return this.#words[MTIME]! + (this.#words[MTIME + 1]! | 0) * WORD
  }

  /** 0 to 999,999,999, also before 1970. */
  get mtimeNanoseconds(): number {
    return this.#words[MTIME + 2]!
  }

  /** Of a device node. */
  get deviceMajor(): number {
    return this.#words[RDEV]!
  }

  get deviceMinor(): number {
    return this.#words[RDEV + 1]!
  }

  /** `st_dev`, as fstat(2) gives it. @see gnu_dev_makedev(3) */
  get device(): bigint {
    const major = this.#words[DEV]!
    const minor = this.#words[DEV + 1]!
    const [lastMajor, lastMinor, last] = this.#device
    if (major === lastMajor && minor === lastMinor) return last
    const [high, low] = [BigInt(major), BigInt(minor)]
    const device =
      ((high & 0xfffn) << 8n) | ((high & ~0xfffn) << 32n) | (low & 0xffn) | ((low & ~0xffn) << 12n)
    this.#device = [major, minor, device]
    return device
  }

  /** Names the inode among those of all devices. */
  get identity(): string {
    return `${this.device} ${this.#unsigned(INO)}`
  }

  /** A copy of what changes when a file does. */
  fileStatus(): FileStatus {
    return {
      dev: this.device,
      ino: this.#unsigned(INO),
      size: this.#unsigned(SIZE),
      mtimeNs: this.#time(MTIME),
      ctimeNs: this.#time(CTIME)
    }
  }

  #unsigned(word: number): bigint {
    return BigInt.asUintN(64, this.#wide[word / 2]!)
  }

  #time(word: number): bigint {
    return this.#wide[word / 2]! * NANOSECONDS + BigInt(this.#words[word + 2]!)
  }
}
