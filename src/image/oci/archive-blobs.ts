import type { FileHandle } from 'node:fs/promises'
import { ByteStream } from '../byte-stream.ts'
import { throwIfCancelled } from '../cancel.ts'
import { isContainerError } from '../errors.ts'
import { TarReader } from '../tar-reader.ts'
import type { TarEntry } from '../tar-reader.ts'
import { noBlob, READ_BYTES } from './blob-store.ts'
import type { BlobStore } from './blob-store.ts'

/** More files than any image has; an archive with more is none. */
const MAX_MEMBERS = 65_536
const MAX_LINKS = 8
/**
 * What archives of images hold: an OCI layout, or what `docker save` and its kin write. Anything else
 * is an archive of files.
 */
const MEMBER =
  /^(?:blobs|blobs\/sha\d{3}|blobs\/sha\d{3}\/[0-9a-f]{64,128}|oci-layout|repositories|[\w.:-]+\.json|(?:sha256:)?[0-9a-f]{64}|[\w.:-]+\.tar(?:\.gz)?|[0-9a-f]{64}\/(?:layer\.tar|json|VERSION))?$/
const MAX_MEMBER_BYTES = 512

interface Member {
  readonly offset: number
  readonly size: number
}

/** The files of an image in a tar archive that can be read at any place. */
export class ArchiveBlobs implements BlobStore {
  readonly #file: FileHandle
  readonly #members: ReadonlyMap<string, Member>

  private constructor(file: FileHandle, members: ReadonlyMap<string, Member>) {
    this.#file = file
    this.#members = members
  }

  /**
   * Lists an archive's members without reading them.
   *
   * @param file plain, not compressed; stays the caller's to close
   * @returns undefined for an archive of anything but an image, and for no archive
   */
  static async of(file: FileHandle, signal?: AbortSignal): Promise<ArchiveBlobs | undefined> {
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
    try {
      for await (const entry of reader.entries()) {
        throwIfCancelled(signal)
        const name = memberName(entry)
        if (name === undefined || members.size + links.size > MAX_MEMBERS) return undefined
        if (entry.kind === 'inode' && entry.content) {
          if (entry.content.pieces.length > 1) return undefined
          members.set(name, { offset: reader.contentOffset, size: entry.content.size })
        } else if (entry.kind === 'inode' && entry.symlinkTarget) {
          links.set(name, linkTarget(name, entry.symlinkTarget.toString()))
        }
      }
    } catch (error) {
      if (members.size > 0 || !isContainerError(error, 'BAD_SOURCE')) throw error
      return undefined
    } finally {
      await pieces.return()
    }
    resolveLinks(members, links)
    return new ArchiveBlobs(file, members)
  }

  async size(name: string): Promise<number | undefined> {
    return this.#members.get(name)?.size
  }

  async *read(name: string, start = 0): AsyncGenerator<Buffer, void, undefined> {
    const member = this.#members.get(name)
    if (member === undefined) throw noBlob(name)
    let position = member.offset + start
    const end = member.offset + member.size
    while (position < end) {
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, end - position))
      const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, position)
      if (bytesRead === 0) return
      position += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  }
}

/**
 * Whether an archive begins as those of images do.
 *
 * @param head its first bytes, decompressed
 */
export async function beginsAsImage(head: Buffer): Promise<boolean> {
  const reader = new TarReader(new ByteStream(one(head)))
  try {
    for await (const entry of reader.entries()) {
      const name = memberName(entry)
      if (name === undefined) return false
      // Directories say little: a root filesystem may begin with its own.
      if (entry.kind === 'inode' && entry.content) return true
    }
    return false
  } catch (error) {
    if (isContainerError(error, 'BAD_SOURCE')) return false
    throw error
  }
}

/** Undefined for a name that no archive of an image has. */
function memberName({ path }: TarEntry): string | undefined {
  if (path.length > MAX_MEMBER_BYTES) return undefined
  const name = path
    .toString()
    .replace(/^(?:\.?\/)+/, '')
    .replace(/\/$/, '')
  return MEMBER.test(name === '.' ? '' : name) ? name : undefined
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
