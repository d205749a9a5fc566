import { throwIfCancelled } from '../../core/cancel.ts'
import { decodeAcl } from '../tree/posix-acl.ts'
import { readFileRange } from '../chunk/read-file.ts'
import { TAR_END, tarHeader, tarPadding } from '../tar/tar-writer.ts'
import { CHUNK_BYTES } from '../tree/tree.ts'
import { walk } from '../tree/walk.ts'
import type { ChunkReader } from '../chunk/chunk-reader.ts'
import type { SparsePiece } from '../tree/sparse-pieces.ts'
import type { PaxRecord } from '../tar/tar-writer.ts'
import type { Tree } from '../tree/tree.ts'

export interface ExportOptions {
  /**
   * How ACLs are written: as text, which GNU tar reads, or as the attributes that they are, which is
   * all that programs in Go read. @default 'text'
   */
  readonly acls?: 'text' | 'xattrs'
  readonly signal?: AbortSignal
  /** @param bytes of content written so far */
  readonly onProgress?: (bytes: number) => void
}

export interface ExportedTar {
  readonly entries: number
  /** Sockets, which archives cannot hold. */
  readonly skipped: number
  /** Size of the archive. */
  readonly bytes: number
}

/** Bytes asked for at once; the chunks in them are fetched side by side. */
const PIECE_BYTES = 2 * 1024 * 1024
const TYPE_FLAGS = {
  file: '0',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6'
} as const
const HARDLINK = '1'
const ACL_KEYWORDS: Readonly<Record<string, string>> = {
  'system.posix_acl_access': 'SCHILY.acl.access',
  'system.posix_acl_default': 'SCHILY.acl.default'
}

/**
 * Writes a tree as a pax archive that GNU tar and libarchive read: names in byte order, hardlinks,
 * extended attributes, ACLs, times in nanoseconds, and holes as GNU sparse files of version 1.0.
 *
 * @param write takes the next bytes; what it is given is not changed afterwards
 * @throws ContainerError what reading chunks throws, and what `write` throws
 */
export async function exportTar(
  tree: Tree,
  chunks: ChunkReader,
  write: (bytes: Uint8Array) => Promise<void>,
  { acls = 'text', signal, onProgress }: ExportOptions = {}
): Promise<ExportedTar> {
  const firstNames = new Map<number, Buffer>()
  let contentBytes = 0
  let bytes = 0
  let entries = 0
  let skipped = 0
  const emit = async (part: Uint8Array): Promise<void> => {
    bytes += part.length
    if (part.length > 0) await write(part)
  }
  for (const { path: walked, inode } of walk(tree)) {
    throwIfCancelled(signal)
    const attributes = tree.attributes(inode)
    const { type } = attributes
    if (type === 'socket') {
      skipped++
      continue
    }
    entries++
    const isDirectory = type === 'directory'
    const path = Buffer.from(
      `./${walked.toString('latin1')}${isDirectory && inode ? '/' : ''}`,
      'latin1'
    )
    const first = firstNames.get(inode)
    if (first !== undefined) {
      const fields = { path, type: HARDLINK, linkPath: first, attributes, size: 0 }
      await emit(tarHeader({ ...fields, records: nameRecords(path, first) }))
      continue
    }
    if (!isDirectory && tree.linkCount(inode) > 1) firstNames.set(inode, path)
    const linkPath = tree.symlinkTarget(inode)
    const records = [...nameRecords(path, linkPath), ...xattrRecords(tree, inode, acls)]
    const size = type === 'file' ? tree.size(inode) : 0
    const pieces = type === 'file' ? storedPieces(tree, inode) : []
    const [only] = pieces
    const isWhole = size === 0 || (only !== undefined && only.offset === 0 && only.length === size)
    const map = isWhole ? Buffer.alloc(0) : sparseMap(size, pieces)
    const stored = map.length + pieces.reduce((sum, { length }) => sum + length, 0)
    if (!isWhole) records.push(...sparseRecords(path, size))
    const flag = TYPE_FLAGS[type]
    await emit(tarHeader({ path, type: flag, linkPath, attributes, size: stored, records }))
    await emit(map)
    for (const { offset, length } of pieces) {
      for (let done = 0; done < length; done += PIECE_BYTES) {
        const wanted = Math.min(PIECE_BYTES, length - done)
        await emit(await readFileRange(tree, chunks, inode, offset + done, wanted, signal))
        contentBytes += wanted
        onProgress?.(contentBytes)
      }
    }
    await emit(tarPadding(stored))
  }
  await emit(TAR_END)
  return { entries, skipped, bytes }
}

/** The parts of a file that are no holes, adjacent extents together. */
function storedPieces(tree: Tree, inode: number): SparsePiece[] {
  const size = tree.size(inode)
  const pieces: { offset: number; length: number }[] = []
  for (const { position, count } of tree.extents(inode)) {
    const offset = position * CHUNK_BYTES
    const length = Math.min(size, offset + count * CHUNK_BYTES) - offset
    const last = pieces.at(-1)
    if (last !== undefined && last.offset + last.length === offset) last.length += length
    else pieces.push({ offset, length })
  }
  return pieces
}

/**
 * The map that precedes the data of a sparse file.
 *
 * @see GNU tar's manual, "Storing Sparse Files", "PAX Format, Version 1.0"
 */
function sparseMap(size: number, pieces: readonly SparsePiece[]): Buffer {
  const all = [...pieces]
  // An empty piece says where a file with a hole at its end ends.
  const last = all.at(-1)
  if (last === undefined || last.offset + last.length < size) all.push({ offset: size, length: 0 })
  const lines = [all.length, ...all.flatMap(({ offset, length }) => [offset, length])]
  const text = Buffer.from(lines.map((line) => `${line}\n`).join(''), 'latin1')
  return Buffer.concat([text, tarPadding(text.length)])
}

function sparseRecords(path: Buffer, size: number): PaxRecord[] {
  return [
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.name', path],
    ['GNU.sparse.realsize', String(size)]
  ]
}

/** Readers take the text of pax records for UTF-8 unless they are told that it is just bytes. */
function nameRecords(path: Buffer, linkPath: Uint8Array): PaxRecord[] {
  const isText = Buffer.from(path.toString()).equals(path)
  const target = Buffer.from(linkPath)
  if (isText && Buffer.from(target.toString()).equals(target)) return []
  return [['hdrcharset', 'BINARY']]
}

function xattrRecords(tree: Tree, inode: number, acls: 'text' | 'xattrs'): PaxRecord[] {
  return tree.xattrs(inode).map(({ name, value }) => {
    const text = Buffer.from(name).toString('latin1')
    const keyword = acls === 'text' ? ACL_KEYWORDS[text] : undefined
    const acl = keyword === undefined ? undefined : decodeAcl(value)
    if (keyword !== undefined && acl !== undefined) return [keyword, acl]
    return [`SCHILY.xattr.${text}`, value]
  })
}
