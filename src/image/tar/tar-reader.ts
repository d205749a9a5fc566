import { entryAttributes } from './tar-attributes.ts'
import { badArchive } from './tar-error.ts'
import { GNU_VOLUME_LABEL, parseTarHeader, TAR_RECORD_BYTES } from './tar-header.ts'
import { addPaxRecords, emptyPaxLists } from './tar-pax.ts'
import { TimeNotices } from './time-notices.ts'
import { readOldSparseMap, readPaxSparseMap } from './tar-sparse.ts'
import type { ByteStream } from './byte-stream.ts'
import type { TarHeader } from './tar-header.ts'
import type { PaxRecords } from './tar-pax.ts'
import type { SparseMap } from './tar-sparse.ts'
import type { FileType, InodeAttributes, Xattr } from '../tree/tree.ts'

interface TarEntryBase {
  /** As the archive has it: not checked, not split. */
  readonly path: Buffer
}

/** A second name of what an earlier entry named. */
export interface TarHardlink extends TarEntryBase {
  readonly kind: 'hardlink'
  readonly target: Buffer
}

export interface TarInode extends TarEntryBase {
  readonly kind: 'inode'
  readonly attributes: InodeAttributes
  readonly xattrs: readonly Xattr[]
  /** Symlinks only. */
  readonly symlinkTarget?: Buffer
  /** Files only: size, and which parts of it are stored, in order. */
  readonly content?: Pick<SparseMap, 'size' | 'pieces'>
}

export type TarEntry = TarHardlink | TarInode

/** Extended headers and long names are held in memory, one at a time. */
const MAX_EXTENDED_BYTES = 8 * 1024 * 1024
const TYPES: Readonly<Record<string, FileType>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  S: 'file',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  D: 'directory',
  '6': 'fifo'
}
const HARDLINK = '1'
const GNU_SPARSE = 'S'
/** Old GNU incremental archives list what a directory held; the entries themselves follow anyway. */
const GNU_DIRECTORY_LIST = 'D'
const SLASH = 0x2f

/** What headers before an entry say of it. */
interface Extensions {
  pax: PaxRecords | undefined
  longPath: Buffer | undefined
  longLinkPath: Buffer | undefined
}

export interface TarReaderOptions {
  /** The archive is known to be complete, by a digest: how it ends is its maker's business. @default false */
  readonly isVouchedFor?: boolean
  /** Go on behind the records that end an archive, as where several were joined. @default false */
  readonly ignoreZeros?: boolean
  /** Told in a sentence what is odd about the archive and was read all the same. */
  readonly onNotice?: (notice: string) => void
}

/**
 * Reads a tar archive entry by entry: v7, ustar, pax, GNU and star, as GNU tar and libarchive write
 * them. The content of an entry may be read until the next entry is asked for.
 */
export class TarReader {
  /** Path of the entry at hand, for messages. */
  path = ''
  readonly #stream: ByteStream
  readonly #isVouchedFor: boolean
  readonly #ignoreZeros: boolean
  readonly #onNotice: (notice: string) => void
  readonly #badTimes = new TimeNotices()
  /** Stored bytes of the entry at hand that are still to be read. */
  #left = 0
  #padding = 0
  /** What global headers say of all entries to come; of one file's attributes they say nothing. */
  #global: PaxRecords = emptyPaxLists()

  constructor(stream: ByteStream, options: TarReaderOptions = {}) {
    const { isVouchedFor = false, ignoreZeros = false, onNotice = () => {} } = options
    this.#stream = stream
    this.#isVouchedFor = isVouchedFor
    this.#ignoreZeros = ignoreZeros
    this.#onNotice = onNotice
  }

  /** Where in the archive the stored bytes of the entry at hand begin, until some are read. */
  get contentOffset(): number {
    return this.#stream.position
  }

  /** @throws ContainerError `BAD_SOURCE`, and what reading the archive throws */
  async *entries(): AsyncGenerator<TarEntry, void, undefined> {
    for (;;) {
      const extensions: Extensions = {
        pax: undefined,
        longPath: undefined,
        longLinkPath: undefined
      }
      const found = await this.#readHeader(extensions)
      if (found === undefined) {
        this.#badTimes.tell(this.#onNotice)
        return
      }
      const entry = await this.#entry(found.header, found.record, extensions)
      if (entry !== undefined) yield entry
      await this.#skipRest()
    }
  }

  /** Fills `target` with the next stored bytes of the entry at hand. */
  async readContent(target: Uint8Array): Promise<void> {
    if (target.length > this.#left) throw badArchive(`${this.path} is shorter than its header says`)
    this.#left -= target.length
    if ((await this.#stream.readInto(target)) < target.length) throw this.#endsEarly()
  }

  /** The next header of an entry; what precedes it goes into `extensions`. */
  async #readHeader(
    extensions: Extensions
  ): Promise<{ header: TarHeader; record: Buffer } | undefined> {
    for (;;) {
      const record = await this.#stream.read(TAR_RECORD_BYTES)
      const isFirst = this.#stream.position <= TAR_RECORD_BYTES
      const isPlain = Object.values(extensions).every((given) => given === undefined)
      // Some programs write no more of the end than a part of a record.
      const isEnd = record.length < TAR_RECORD_BYTES && isZeros(record) && isPlain
      if (isEnd && (record.length === 0 || !isFirst) && this.#mayEndHere()) return undefined
      if (record.length < TAR_RECORD_BYTES) throw isFirst ? noArchive() : this.#endsEarly()
      const header = readHeader(record, isFirst)
      if (header === undefined) {
        if (!isPlain) throw this.#endsEarly()
        this.#global = emptyPaxLists()
        if (this.#ignoreZeros) continue
        await this.#readEnd()
        return undefined
      }
      switch (header.type) {
        case 'x':
        case 'X':
          extensions.pax = await this.#readPax(header)
          break
        case 'g':
          this.#global = { ...(await this.#readPax(header)), ...emptyPaxLists() }
          break
        case 'L':
          extensions.longPath = untilNul(await this.#readExtended(header))
          break
        case 'K':
          extensions.longLinkPath = untilNul(await this.#readExtended(header))
          break
        default:
          return { header, record }
      }
    }
  }

  async #readPax(header: TarHeader): Promise<PaxRecords> {
    const records = { ...this.#global, ...emptyPaxLists() }
    addPaxRecords(await this.#readExtended(header), records)
    return records
  }

  async #readExtended({ size }: TarHeader): Promise<Buffer> {
    if (size < 0 || size > MAX_EXTENDED_BYTES)
      throw badArchive(`an extended header of ${size} bytes`)
    const body = await this.#stream.read(size)
    if (body.length < size) throw this.#endsEarly()
    // A copy: it outlives the piece of the stream that it lies in.
    const copy = Buffer.from(body)
    this.#padding = padding(size)
    await this.#skipRest()
    return copy
  }

  async #entry(
    header: TarHeader,
    record: Buffer,
    { pax: own, longPath, longLinkPath }: Extensions
  ): Promise<TarEntry | undefined> {
    const pax = own ?? this.#global
    const name = pax.path ?? longPath ?? header.path
    const path = pax.sparse.get('name') ?? name
    const linkPath = pax.linkPath ?? longLinkPath ?? header.linkPath
    this.path = path.toString()
    const size = pax.size ?? header.size
    if (size < 0) throw badArchive(`${this.path} has a negative size`)
    const isHardlink = header.type === HARDLINK
    let type = isHardlink ? 'file' : TYPES[header.type]
    if (header.type === GNU_VOLUME_LABEL) {
      this.#startContent((await this.#isHeaderNext(size)) ? 0 : size)
      return undefined
    }
    if (type === undefined) throw unknownType(header.type, this.path)
    // Before there was a type for directories, a slash told them.
    if (header.type === '\0' || header.type === '0') {
      if (name.at(-1) === SLASH) type = 'directory'
    }
    // Only pax lets a hardlink repeat the content, which few programs do; the size is without meaning then.
    const hasData = isHardlink
      ? own !== undefined && !(await this.#isHeaderNext(size))
      : type === 'file'
    this.#startContent(hasData || header.type === GNU_DIRECTORY_LIST ? size : 0)
    if (isHardlink) return { kind: 'hardlink', path, target: linkPath }
    if (pax.hasBadTime || (pax.mtime === undefined && header.isTimeOutOfRange)) {
      this.#badTimes.add(this.path)
    }
    return {
      kind: 'inode',
      path,
      ...entryAttributes(type, header, pax, this.path),
      ...(type === 'symlink' ? { symlinkTarget: linkPath } : {}),
      ...(type === 'file' ? { content: await this.#content(header, record, pax) } : {})
    }
  }

  async #content(
    header: TarHeader,
    record: Buffer,
    pax: PaxRecords
  ): Promise<Pick<SparseMap, 'size' | 'pieces'>> {
    const map =
      header.type === GNU_SPARSE
        ? await readOldSparseMap(record, this.#stream)
        : await readPaxSparseMap(pax, this.#stream)
    if (map === undefined) {
      const size = this.#left
      return { size, pieces: size === 0 ? [] : [{ offset: 0, length: size }] }
    }
    this.#left -= map.mapBytes
    const stored = map.pieces.reduce((sum, { length }) => sum + length, 0)
    if (stored !== this.#left)
      throw badArchive(`the sparse map of ${this.path} does not match its size`)
    return map
  }

  /** Whether an entry that says that `size` bytes follow has none: the next header follows, or the end. */
  async #isHeaderNext(size: number): Promise<boolean> {
    if (size === 0) return true
    const record = await this.#stream.peek(TAR_RECORD_BYTES)
    if (record.length < TAR_RECORD_BYTES) return true
    try {
      parseTarHeader(record)
      return true
    } catch {
      return false
    }
  }

  #startContent(size: number): void {
    this.#left = size
    this.#padding = padding(size)
  }

  async #skipRest(): Promise<void> {
    const rest = this.#left + this.#padding
    this.#left = 0
    this.#padding = 0
    if (rest > 0 && (await this.#stream.skip(rest)) < rest) throw this.#endsEarly()
  }

  /** Whether an archive may end without the records of zeros that say so. */
  #mayEndHere(): boolean {
    if (this.#isVouchedFor) return true
    if (this.#stream.position === 0) return false
    if (!this.#ignoreZeros) {
      this.#onNotice('nothing marks the end of the archive: it may be cut between two files')
    }
    return true
  }

  /** Everything after the end is read, so that a program that writes to a pipe can finish. */
  async #readEnd(): Promise<void> {
    const second = await this.#stream.read(TAR_RECORD_BYTES)
    if (this.#isVouchedFor && !isZeros(second)) {
      throw badArchive('it has a record of zeros in the middle')
    }
    let hasMore = !isZeros(second)
    while (!hasMore) {
      const rest = await this.#stream.readSome()
      if (rest === undefined) return
      hasMore = !isZeros(rest)
    }
    this.#onNotice(
      'data after the end of the archive is left out; --ignore-zeros reads archives that were joined'
    )
    await this.#stream.skip(Number.MAX_SAFE_INTEGER)
  }

  #endsEarly(): Error {
    return badArchive(this.path === '' ? 'it ends early' : `it ends early, at ${this.path}`)
  }
}

function readHeader(record: Buffer, isFirst: boolean): TarHeader | undefined {
  try {
    return parseTarHeader(record)
  } catch (error) {
    if (isFirst) throw noArchive(error)
    throw error
  }
}

function noArchive(cause?: unknown): Error {
  return badArchive(
    'it is not a tar archive',
    'give a directory, or a tar archive: plain, or compressed with gzip, zstd, xz, bzip2 or compress',
    cause
  )
}

function unknownType(type: string, path: string): Error {
  const what =
    type === 'M' ? 'continues another volume' : `has the unknown type ${JSON.stringify(type)}`
  return badArchive(`${path} ${what}`)
}

function padding(size: number): number {
  return (TAR_RECORD_BYTES - (size % TAR_RECORD_BYTES)) % TAR_RECORD_BYTES
}

function isZeros(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0)
}

function untilNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0)
  return end === -1 ? bytes : bytes.subarray(0, end)
}
