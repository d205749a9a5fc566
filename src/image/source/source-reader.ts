import { closeSync, constants, openSync, readSync } from 'node:fs'
import { BatchPacker } from '../chunk/batch-packer.ts'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { pathAt, statusAt } from './file-list.ts'
import { SourcePath } from './source-path.ts'
import { dataRanges, type DataRange } from './sparse.ts'
import { StatusReader } from './status-reader.ts'
import { CHUNK_BYTES } from '../tree/tree.ts'
import type { ContentBatch } from '../tree/content-batch.ts'
import type { FileList } from './file-list.ts'
import type { FileStatus } from './file-status.ts'

// Where the name was replaced: by a symlink, or by a fifo that would keep open(2) waiting.
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * Reads files one after another, synchronously: for the many small files of a system, promises cost
 * several times what the reading does. Meant for a thread of its own.
 */
export class SourceReader {
  readonly #packer: BatchPacker
  readonly #status = new StatusReader()

  /** @param allocate makes or reuses a buffer of `BATCH_BYTES` */
  constructor(allocate: () => ArrayBuffer) {
    this.#packer = new BatchPacker(allocate)
  }

  /**
   * The batches that are full; the last files' may be left for the next call.
   *
   * @throws ContainerError `SOURCE_CHANGED` when a file is not what it was when scanned, `IO`
   */
  *read(files: FileList): Generator<ContentBatch, void, undefined> {
    using path = new SourcePath(files.root)
    for (let i = 0; i < files.length; i++) {
      if (this.#packer.isFull) yield this.#packer.take()
      path.enter(pathAt(files, i))
      yield* this.#readFile(path, files.inode[i]!, statusAt(files, i))
    }
  }

  /** What is left. */
  *end(): Generator<ContentBatch, void, undefined> {
    if (!this.#packer.isEmpty) yield this.#packer.take()
  }

  *#readFile(
    path: SourcePath,
    inode: number,
    scanned: FileStatus
  ): Generator<ContentBatch, void, undefined> {
    const packer = this.#packer
    let fd: number | undefined
    try {
      fd = openSync(path.reachable, OPEN_FLAGS)
      this.#checkUnchanged(fd, path, scanned)
      const { size } = scanned
      for (const { start, end } of this.#ranges(fd, size)) {
        let offset = start
        while (offset < end) {
          if (packer.isFull) yield packer.take()
          const room = packer.room()
          const wanted = Math.min(room.length, end - offset)
          readFully(fd, room.subarray(0, wanted), offset, path.absolute)
          packer.addData(inode, offset / CHUNK_BYTES, wanted)
          offset += wanted
        }
      }
      // Once more: what was read in between may be half old, half new.
      this.#checkUnchanged(fd, path, scanned)
      packer.endFile(inode, size)
    } catch (error) {
      throw readingError(error, path.absolute)
    } finally {
      if (fd !== undefined) closeSync(fd)
    }
  }

  #checkUnchanged(fd: number, path: SourcePath, scanned: FileStatus): void {
    this.#status.readOpen(fd)
    if (!this.#status.equals(scanned)) throw sourceChanged(path.absolute)
  }

  /** Most files are of one chunk and take the room that they need: these are not asked for holes. */
  #ranges(fd: number, size: number): Iterable<DataRange> {
    const isPlain = size <= CHUNK_BYTES && size <= this.#status.allocatedBytes
    return isPlain && size > 0 ? [{ start: 0, end: size }] : dataRanges(fd, size)
  }
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
