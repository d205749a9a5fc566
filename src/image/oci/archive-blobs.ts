import type { FileHandle } from 'node:fs/promises'
import { ByteStream } from '../tar/byte-stream.ts'
import { throwIfCancelled } from '../../core/cancel.ts'
import { isContainerError } from '../../core/errors.ts'
import { TarReader } from '../tar/tar-reader.ts'
import type { SparsePiece } from '../tree/sparse-pieces.ts'
import { belowTop, memberKind, memberName, tellsOfImage } from './archive-names.ts'
import { noBlob, READ_BYTES } from './blob-store.ts'
import type { BlobStore } from './blob-store.ts'

/** More files than any image has; an archive with more is none. */
const MAX_MEMBERS = 65_536
const MAX_LINKS = 8
/** As many members that no image has are looked at, while none tells of an image; root filesystems have more. */
const MAX_OTHERS = 1024

interface Member {
  /** In the archive, of the first byte that is stored. */
  readonly offset: number
  readonly size: number
  /** Where the stored bytes belong in the file; between them are zeros. */
  readonly pieces: readonly SparsePiece[]
}

/** The files of a tar archive that can be read at any place. */
export class ArchiveBlobs implements BlobStore {
  /** Whether every member is one that an image may have. */
  readonly isPure: boolean
  readonly #file: FileHandle
  readonly #members: ReadonlyMap<string, Member>

  private constructor(file: FileHandle, members: ReadonlyMap<string, Member>, isPure: boolean) {
    this.#file = file
    this.#members = members
    this.isPure = isPure
  }

  /**
   * Lists an archive's members without reading them.
   *
   * @param file plain, not compressed; stays the caller's to close
   * @param options.isImage it must be one, whatever else it holds
   * @returns undefined for an archive that begins like one of files, and for no archive
   * @throws ContainerError `BAD_SOURCE` for an image that is damaged, `CANCELLED`
   */
  static async of(
    file: FileHandle,
    { isImage = false, signal }: { isImage?: boolean; signal?: AbortSignal | undefined } = {}
  ): Promise<ArchiveBlobs | undefined> {
    const { size } = await file.stat()
    let position = 0
    const pieces = pread(
      file,
      () => position,
      (count) => (position += count)
    )
    const stream = new ByteStream(pieces, (count) => {
      const skipped = Math.min(count, size - position)
      position += skipped
      return skipped
    })
    const members = new Map<string, Member>()
    const links = new Map<string, string>()
    const reader = new TarReader(stream)
    let others = 0
    let isTold = isImage
    try {
      for await (const entry of reader.entries()) {
        throwIfCancelled(signal)
        const name = memberName(entry.path)
        if (name === undefined || memberKind(name) === 'other') others++
        if (name === undefined) continue
        isTold ||= tellsOfImage(name)
        if (others > MAX_OTHERS && !isTold) return undefined
        if (members.size + links.size > MAX_MEMBERS) return undefined
        if (entry.kind === 'hardlink') {
          links.set(name, memberName(entry.target) ?? '')
        } else if (entry.content) {
          members.set(name, { offset: reader.contentOffset, ...entry.content })
        } else if (entry.symlinkTarget) {
          links.set(name, linkTarget(name, entry.symlinkTarget.toString()))
        }
      }
    } catch (error) {
      const isNoImage = members.size === 0 || (others > 0 && !isTold)
      if (!isNoImage || !isContainerError(error, 'BAD_SOURCE')) throw error
      return undefined
    } finally {
      await pieces.return()
    }
    resolveLinks(members, links)
    return new ArchiveBlobs(file, members, others === 0)
  }

  /** Whether any of the files has a name that only images' have. */
  async hasBlobs(): Promise<boolean> {
    return [...this.#members.keys()].some((name) => memberKind(name) === 'blob')
  }

  /** The directory at the top that all files are in. */
  get top(): string | undefined {
    const [first = ''] = this.#members.keys()
    if (!first.includes('/')) return undefined
    const top = first.slice(0, first.indexOf('/'))
    const isCommon = [...this.#members.keys()].every((name) => name.startsWith(`${top}/`))
    return isCommon ? top : undefined
  }

  /** The files of the directory at the top that all files are in. */
  belowTop(): ArchiveBlobs {
    const below = [...this.#members].map(
      ([name, member]) => [belowTop(name) ?? '', member] as const
    )
    return new ArchiveBlobs(this.#file, new Map(below), this.isPure)
  }

  async size(name: string): Promise<number | undefined> {
    return this.#members.get(name)?.size
  }

  async #readAt(target: Buffer, position: number): Promise<number> {
    return (await this.#file.read(target, 0, target.length, position)).bytesRead
  }

  async *read(name: string, start = 0): AsyncGenerator<Buffer, void, undefined> {
    const member = this.#members.get(name)
    if (member === undefined) throw noBlob(name)
    for (const { from, length } of runsOf(member, start)) {
      for (let done = 0; done < length;) {
        const buffer = Buffer.alloc(Math.min(READ_BYTES, length - done))
        const bytes = from === undefined ? buffer.length : await this.#readAt(buffer, from + done)
        if (bytes === 0) return
        done += bytes
        yield buffer.subarray(0, bytes)
      }
    }
  }
}

/** What a file consists of from `start` on: bytes from somewhere in the archive, and zeros from nowhere. */
function* runsOf(
  { offset, size, pieces }: Member,
  start: number
): Generator<{ readonly from: number | undefined; readonly length: number }> {
  let stored = offset
  let place = 0
  for (const piece of [...pieces, { offset: size, length: 0 }]) {
    const data = Math.max(piece.offset, start)
    const end = piece.offset + piece.length
    if (data > Math.max(place, start)) {
      yield { from: undefined, length: data - Math.max(place, start) }
    }
    if (end > data) yield { from: stored + data - piece.offset, length: end - data }
    stored += piece.length
    place = end
  }
}

/**
 * Whether an archive begins as those of images do.
 *
 * @param head its first bytes, decompressed
 */
export async function beginsAsImage(head: Buffer): Promise<boolean> {
  const reader = new TarReader(new ByteStream(one(head)))
  let isFirst = true
  try {
    for await (const entry of reader.entries()) {
      const name = memberName(entry.path)
      if (name === undefined || entry.kind !== 'inode' || !entry.content) continue
      // A root filesystem may begin with its own directories, and with any file.
      if (tellsOfImage(name)) return true
      if (isFirst && memberKind(name) !== 'other') return true
      isFirst = false
    }
    return false
  } catch (error) {
    if (isContainerError(error, 'BAD_SOURCE')) return false
    throw error
  }
}

/** Old archives name a layer that several images have by links, `../HEX.tar` as seen from below. */
function linkTarget(name: string, target: string): string {
  const parts = name.split('/').slice(0, -1)
  for (const part of target.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.' && part !== '') parts.push(part)
  }
  return parts.join('/')
}

function resolveLinks(members: Map<string, Member>, links: ReadonlyMap<string, string>): void {
  for (const [name, first] of links) {
    let target: string | undefined = first
    for (let hops = 0; hops < MAX_LINKS && target !== undefined; hops++) {
      const member = members.get(target)
      if (member !== undefined) {
        members.set(name, member)
        break
      }
      target = links.get(target)
    }
  }
}

async function* pread(
  file: FileHandle,
  position: () => number,
  advance: (count: number) => void
): AsyncGenerator<Buffer, void, undefined> {
  for (;;) {
    // Little at once: what lies between headers is skipped.
    const buffer = Buffer.allocUnsafe(512)
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position())
    if (bytesRead === 0) return
    advance(bytesRead)
    yield buffer.subarray(0, bytesRead)
  }
}

async function* one(bytes: Buffer): AsyncGenerator<Buffer, void, undefined> {
  yield bytes
}
