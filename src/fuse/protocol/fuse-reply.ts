import {
  ATTR_BYTES,
  DIRENT_ALIGNMENT,
  DIRENT_BYTES,
  ENTRY_OUT_BYTES,
  INIT_OUT_BYTES,
  OUT_HEADER_BYTES
} from './fuse-protocol.ts'

/** `struct fuse_attr`: what stat(2) tells. All three times are the one that images have. */
export interface NodeAttributes {
  /** Shown as inode number, and the node id. */
  readonly node: number
  /** Type and permission bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  /** In units of 512 bytes. */
  readonly blocks: number
  readonly linkCount: number
  readonly device: number
  readonly blockBytes: number
  /** May be negative. */
  readonly mtimeSeconds: number
  readonly mtimeNanoseconds: number
}

/** `struct fuse_init_out`. */
export interface InitAnswer {
  readonly major: number
  readonly minor: number
  readonly maxReadahead: number
  readonly flags: number
  readonly upperFlags: number
  readonly maxBackground: number
  readonly congestionThreshold: number
  readonly maxWrite: number
  readonly maxPages: number
}

/** `struct fuse_kstatfs` of a filesystem with nothing free. */
export interface FilesystemSize {
  readonly blocks: number
  readonly files: number
  readonly blockBytes: number
  readonly maxNameBytes: number
}

/** Seconds that the kernel may keep a name or attributes, absent names too: the tree never changes. */
const VALID_SECONDS = 365 * 86_400
/** The longest answer with a directory's entries; the kernel rarely asks for more than 32 KiB. */
export const MAX_ANSWER_BYTES = 128 * 1024

/** Bytes of one answer: a header alone, where `error` (a negative errno) is none of 0. */
export function writeHeader(target: Buffer, unique: bigint, bytes: number, error: number): void {
  target.writeUInt32LE(bytes, 0)
  target.writeInt32LE(error, 4)
  target.writeBigUInt64LE(unique, 8)
}

/** A whole answer that only says what went wrong, in memory of its own; `error` is a negative errno. */
export function errorAnswer(unique: bigint, error: number): Buffer {
  const answer = Buffer.alloc(OUT_HEADER_BYTES)
  writeHeader(answer, unique, OUT_HEADER_BYTES, error)
  return answer
}

/**
 * Builds one answer at a time, in memory that it keeps: what {@link finish} returned is overwritten by
 * the next one.
 */
export class FuseReply {
  readonly #bytes = Buffer.allocUnsafeSlow(OUT_HEADER_BYTES + MAX_ANSWER_BYTES)
  readonly #view = new DataView(this.#bytes.buffer)
  #end = OUT_HEADER_BYTES

  /** Forgets what was put in. */
  clear(): void {
    this.#end = OUT_HEADER_BYTES
  }

  /** @param error a negative errno, which is sent alone; 0 for success */
  finish(unique: bigint, error = 0): Buffer {
    const bytes = error === 0 ? this.#end : OUT_HEADER_BYTES
    writeHeader(this.#bytes, unique, bytes, error)
    return this.#bytes.subarray(0, bytes)
  }

  /** Bytes put in so far, header not counted. */
  get length(): number {
    return this.#end - OUT_HEADER_BYTES
  }

  putBytes(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#end)
    this.#end += bytes.length
  }

  /** A 64-bit number, also a negative one, that a double holds. */
  putUInt64(value: number): void {
    this.#setUInt64(this.#take(8), value)
  }

  /** `struct fuse_getxattr_out`: how many bytes there would be. */
  putXattrSize(bytes: number): void {
    this.putUInt64(bytes)
  }

  putAttributes(attributes: NodeAttributes): void {
    const at = this.#take(16 + ATTR_BYTES)
    this.#setUInt64(at, VALID_SECONDS)
    this.#setUInt64(at + 8, 0)
    this.#setAttributes(at + 16, attributes)
  }

  /** What LOOKUP found; undefined says that there is no such name, and that the kernel may keep that. */
  putEntry(attributes: NodeAttributes | undefined): void {
    this.#setEntry(this.#take(ENTRY_OUT_BYTES), attributes)
  }

  /** @param flags of `OPEN_FLAG` */
  putOpened(flags: number): void {
    this.putUInt64(0)
    this.putUInt64(flags)
  }

  putInit(answer: InitAnswer): void {
    const at = this.#take(INIT_OUT_BYTES)
    const view = this.#view
    this.#bytes.fill(0, at, at + INIT_OUT_BYTES)
    view.setUint32(at, answer.major, true)
    view.setUint32(at + 4, answer.minor, true)
    view.setUint32(at + 8, answer.maxReadahead, true)
    view.setUint32(at + 12, answer.flags, true)
    view.setUint16(at + 16, answer.maxBackground, true)
    view.setUint16(at + 18, answer.congestionThreshold, true)
    view.setUint32(at + 20, answer.maxWrite, true)
    // Granularity of times: 1 ns.
    view.setUint32(at + 24, 1, true)
    view.setUint16(at + 28, answer.maxPages, true)
    view.setUint32(at + 32, answer.upperFlags, true)
  }

  putFilesystemSize({ blocks, files, blockBytes, maxNameBytes }: FilesystemSize): void {
    const at = this.#take(80)
    this.#bytes.fill(0, at, at + 80)
    this.#setUInt64(at, blocks)
    this.#setUInt64(at + 24, files)
    this.#view.setUint32(at + 40, blockBytes, true)
    this.#view.setUint32(at + 44, maxNameBytes, true)
    this.#view.setUint32(at + 48, blockBytes, true)
  }

  /**
   * Puts one directory entry in, if it fits.
   *
   * @param room bytes that all entries of this answer may take
   * @param entry `next` is where a listing goes on after it; `mode` has the type
   * @param plus attributes to send along; `'none'` leaves them out of a READDIRPLUS, undefined of a READDIR
   * @returns whether it was put in
   */
  putDirent(
    room: number,
    entry: { node: number; next: number; name: Uint8Array; mode: number },
    plus?: NodeAttributes | 'none'
  ): boolean {
    const head = plus === undefined ? 0 : ENTRY_OUT_BYTES
    const used = head + DIRENT_BYTES + entry.name.length
    const record = Math.ceil(used / DIRENT_ALIGNMENT) * DIRENT_ALIGNMENT
    if (this.length + record > Math.min(room, MAX_ANSWER_BYTES)) return false
    let at = this.#take(record)
    if (plus !== undefined) this.#setEntry(at, plus === 'none' ? undefined : plus)
    at += head
    this.#setUInt64(at, entry.node)
    this.#setUInt64(at + 8, entry.next)
    this.#view.setUint32(at + 16, entry.name.length, true)
    this.#view.setUint32(at + 20, (entry.mode & 0o170_000) >>> 12, true)
    this.#bytes.set(entry.name, at + DIRENT_BYTES)
    this.#bytes.fill(0, this.#end - (record - used), this.#end)
    return true
  }

  #take(bytes: number): number {
    const at = this.#end
    this.#end += bytes
    return at
  }

  #setEntry(at: number, attributes: NodeAttributes | undefined): void {
    // Node 0 is no node. The generation stays 0: no number is used twice.
    this.#setUInt64(at, attributes?.node ?? 0)
    this.#setUInt64(at + 8, 0)
    this.#setUInt64(at + 16, VALID_SECONDS)
    this.#setUInt64(at + 24, VALID_SECONDS)
    this.#setUInt64(at + 32, 0)
    if (attributes === undefined) this.#bytes.fill(0, at + 40, at + ENTRY_OUT_BYTES)
    else this.#setAttributes(at + 40, attributes)
  }

  #setAttributes(at: number, attributes: NodeAttributes): void {
    const view = this.#view
    this.#setUInt64(at, attributes.node)
    this.#setUInt64(at + 8, attributes.size)
    this.#setUInt64(at + 16, attributes.blocks)
    for (let time = 0; time < 3; time++) {
      this.#setUInt64(at + 24 + 8 * time, attributes.mtimeSeconds)
      view.setUint32(at + 48 + 4 * time, attributes.mtimeNanoseconds, true)
    }
    view.setUint32(at + 60, attributes.mode, true)
    view.setUint32(at + 64, attributes.linkCount, true)
    view.setUint32(at + 68, attributes.uid, true)
    view.setUint32(at + 72, attributes.gid, true)
    view.setUint32(at + 76, attributes.device, true)
    view.setUint32(at + 80, attributes.blockBytes, true)
    view.setUint32(at + 84, 0, true)
  }

  /** Both halves are taken modulo 2^32, which makes the two's complement of negative numbers. */
  #setUInt64(at: number, value: number): void {
    this.#view.setUint32(at, value, true)
    this.#view.setUint32(at + 4, Math.floor(value / 2 ** 32), true)
  }
}
