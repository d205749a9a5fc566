import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { BatchPacker } from './batch-packer.ts'
import { ContainerError, systemErrorCode } from './errors.ts'
import { isSameStatus, pathAt, statusAt } from './file-list.ts'
import { LongPaths } from './long-paths.ts'
import { dataRanges } from './sparse.ts'
import { CHUNK_BYTES } from './tree.ts'
import type { ContentBatch } from './content-batch.ts'
import type { FileList, FileStatus } from './file-list.ts'

const SLASH = Buffer.from('/')
// Where the name was replaced: by a symlink, or by a fifo that would keep open(2) waiting.
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * Reads files one after another, synchronously: for the many small files of a system, promises cost
 * several times what the reading does. Meant for a thread of its own.
 *
 * @param allocate makes or reuses a buffer of `BATCH_BYTES`
 * @throws ContainerError `SOURCE_CHANGED` when a file is not what it was when scanned, `IO`
 */
export function* readFiles(
  files: FileList,
  allocate: () => ArrayBuffer
): Generator<ContentBatch, void, undefined> {
  const packer = new BatchPacker(allocate)
  using paths = new LongPaths()
  for (let i = 0; i < files.length; i++) {
    if (packer.isFull) yield packer.take()
    const path = Buffer.concat([files.root, SLASH, pathAt(files, i)])
    yield* readFile(path, paths, files.inode[i]!, statusAt(files, i), packer)
  }
  if (!packer.isEmpty) yield packer.take()
}

function* readFile(
  path: Buffer,
  paths: LongPaths,
  inode: number,
  scanned: FileStatus,
  packer: BatchPacker
): Generator<ContentBatch, void, undefined> {
  let fd: number | undefined
  try {
    fd = openSync(paths.reach(path), OPEN_FLAGS)
    const size = sizeOfUnchanged(fd, path, scanned)
    for (const { start, end } of dataRanges(fd, size)) {
      let offset = start
      while (offset < end) {
        if (packer.isFull) yield packer.take()
        const room = packer.room()
        const wanted = Math.min(room.length, end - offset)
        readFully(fd, room.subarray(0, wanted), offset, path)
        packer.addData(inode, offset / CHUNK_BYTES, wanted)
        offset += wanted
      }
    }
    // Once more: what was read in between may be half old, half new.
    sizeOfUnchanged(fd, path, scanned)
    packer.endFile(inode, size)
  } catch (error) {
    throw readingError(error, path)
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

function sizeOfUnchanged(fd: number, path: Buffer, scanned: FileStatus): number {
  const status = fstatSync(fd, { bigint: true })
  if (!isSameStatus(status, scanned)) throw sourceChanged(path)
  return Number(status.size)
}

function readFully(fd: number, target: Uint8Array, offset: number, path: Buffer): void {
  let done = 0
  while (done < target.length) {
    const bytes = readSync(fd, target, done, target.length - done, offset + done)
    if (bytes === 0) throw sourceChanged(path)
    done += bytes
  }
}

function sourceChanged(path: Buffer, cause?: unknown): ContainerError {
  return new ContainerError('SOURCE_CHANGED', `changed while it was read: ${path.toString()}`, {
    hint: 'share a snapshot, or stop what writes to the source and try again',
    ...(cause === undefined ? {} : { cause })
  })
}

const GONE = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'])

function readingError(error: unknown, path: Buffer): unknown {
  if (error instanceof ContainerError) return error
  const code = systemErrorCode(error)
  if (code !== undefined && GONE.has(code)) return sourceChanged(path, error)
  return ioError(path, error)
}

/** The error for a path of the source that the system will not read. */
export function ioError(path: Buffer, cause: unknown): ContainerError {
  const code = systemErrorCode(cause) ?? 'unknown error'
  const denied = code === 'EACCES' || code === 'EPERM'
  return new ContainerError('IO', `cannot read ${path.toString()}: ${code}`, {
    hint: denied ? 'run as root, or exclude the path' : 'check the disk, or exclude the path',
    cause
  })
}
