import { fstatSync, lstatSync, type BigIntStats } from 'node:fs'
import { FileStatus, STATUS_WORDS } from './file-status.ts'
import { loadLibC, systemError } from '../../core/host/libc.ts'

/** Linux: relative to the working directory; symlinks not followed, automounts left alone. */
const AT_FDCWD = -100
const LINK_FLAGS = 0x100 | 0x800
const AT_EMPTY_PATH = 0x1000
const EMPTY_PATH = new Uint8Array(1)
/** All that stat(2) tells. */
const STATX_BASIC_STATS = 0x7ff
/** `struct statx` as words of 32 bits; only its first half is used. @see statx(2) */
const STATX_BYTES = 256
const [NLINK, UID, GID, MODE, INO, SIZE, BLOCKS] = [4, 5, 6, 7, 8, 10, 12]
const [CTIME, MTIME, RDEV, DEV] = [24, 28, 32, 34]
/** Where the words of a {@link FileStatus} come from, in their order. */
const SOURCES = [
  ...[DEV, DEV + 1, INO, INO + 1, SIZE, SIZE + 1],
  ...[MTIME, MTIME + 1, MTIME + 2, CTIME, CTIME + 1, CTIME + 2]
]
const WORD = 2 ** 32
const BLOCK_BYTES = 512
const SECOND = 1_000_000_000n

/**
 * The status of the file that was read last. Node.js makes 18 big integers and a handful of dates of each
 * call of lstat(2), which takes longer than the call.
 */
export class StatusReader extends FileStatus {
  readonly #statx = new Uint32Array(STATX_BYTES / 4)
  readonly #bytes = new Uint8Array(this.#statx.buffer)

  constructor() {
    super(new Uint32Array(STATUS_WORDS), 0)
  }

  /**
   * lstat(2).
   *
   * @param path ends with NUL
   * @throws the system's error, with its `code`
   */
  read(path: Uint8Array): void {
    this.#read(AT_FDCWD, path, LINK_FLAGS)
  }

  /** fstat(2). @throws the system's error, with its `code` */
  readOpen(fd: number): void {
    this.#read(fd, EMPTY_PATH, AT_EMPTY_PATH)
  }

  /** File type and permissions. */
  get mode(): number {
    return this.#statx[MODE]! & 0xffff
  }

  get linkCount(): number {
    return this.#statx[NLINK]!
  }

  get uid(): number {
    return this.#statx[UID]!
  }

  get gid(): number {
    return this.#statx[GID]!
  }

  /** What its content takes on the disk. */
  get allocatedBytes(): number {
    return (this.#statx[BLOCKS]! + this.#statx[BLOCKS + 1]! * WORD) * BLOCK_BYTES
  }

  /** The major number of a device node. */
  get deviceMajor(): number {
    return this.#statx[RDEV]!
  }

  get deviceMinor(): number {
    return this.#statx[RDEV + 1]!
  }

  /** Has the status that Node.js read: statx(2) is Linux's alone. */
  protected take(status: BigIntStats): void {
    const { dev, ino, size, mode, nlink, uid, gid, rdev, blocks } = status
    const told = this.#statx
    const [mtime, ctime] = [status.mtimeNs, status.ctimeNs]
    told[NLINK] = Number(nlink)
    told[UID] = Number(uid)
    told[GID] = Number(gid)
    told[MODE] = Number(mode)
    setLong(told, INO, ino)
    setLong(told, SIZE, size)
    // Windows has none.
    setLong(told, BLOCKS, blocks ?? size / BigInt(BLOCK_BYTES))
    setTime(told, CTIME, ctime)
    setTime(told, MTIME, mtime)
    setDevice(told, RDEV, rdev)
    setDevice(told, DEV, dev)
    this.#copyWords()
  }

  #read(directory: number, path: Uint8Array, flags: number): void {
    if (process.platform !== 'linux') {
      const options = { bigint: true } as const
      const name = Buffer.from(path.subarray(0, path.indexOf(0)))
      this.take(path === EMPTY_PATH ? fstatSync(directory, options) : lstatSync(name, options))
      return
    }
    const libc = loadLibC()
    if (libc.statx(directory, path, flags, STATX_BASIC_STATS, this.#bytes) < 0) {
      throw systemError('statx', path)
    }
    this.#copyWords()
  }

  #copyWords(): void {
    const [told, words] = [this.#statx, this.words]
    for (let word = 0; word < STATUS_WORDS; word++) words[word] = told[SOURCES[word]!]!
  }
}

function setLong(words: Uint32Array, at: number, value: bigint): void {
  words[at] = Number(value & 0xffff_ffffn)
  words[at + 1] = Number((value >> 32n) & 0xffff_ffffn)
}

/** Nanoseconds count forwards, also before 1970. */
function setTime(words: Uint32Array, at: number, nanoseconds: bigint): void {
  const rest = ((nanoseconds % SECOND) + SECOND) % SECOND
  setLong(words, at, (nanoseconds - rest) / SECOND)
  words[at + 2] = Number(rest)
}

/** @see gnu_dev_makedev(3), of which {@link FileStatus.device} makes the same number again */
function setDevice(words: Uint32Array, at: number, device: bigint): void {
  words[at] = Number((((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)) & 0xffff_ffffn)
  words[at + 1] = Number(((device & 0xffn) | ((device >> 12n) & ~0xffn)) & 0xffff_ffffn)
}
