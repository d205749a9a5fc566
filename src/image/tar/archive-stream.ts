import { constants, openSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { Socket } from 'node:net'
import { createGunzip } from 'node:zlib'
import { Readable } from 'node:stream'
import { decompressByProgram } from './decompress-program.ts'
import { decompressZstd } from './decompress-zstd.ts'
import { ContainerError, isContainerError, systemErrorCode } from '../../core/errors.ts'
import { badArchive } from './tar-error.ts'

/** The path that stands for stdin. */
export const STDIN = '-'

const READ_BYTES = 256 * 1024
const MAGIC_BYTES = 6

type Decompress = (compressed: AsyncIterable<Buffer>) => AsyncIterable<Uint8Array>

/** First bytes, in hex, of what archives are compressed with. A zstd stream may begin with a skippable frame. */
const COMPRESSIONS: readonly (readonly [magic: RegExp, decompress: Decompress])[] = [
  [/^1f8b/, decompressGzip],
  [/^(?:28b52ffd|5.2a4d18)/, decompressZstd],
  // What compress makes, `.Z`.
  [/^1f9d/, (compressed) => decompressByProgram('gzip', compressed)],
  [/^fd377a585a00/, (compressed) => decompressByProgram('xz', compressed)],
  [/^425a68/, (compressed) => decompressByProgram('bzip2', compressed)]
]

/** A file, or stdin, as the bytes that it holds once it is decompressed. */
export class ArchiveStream {
  /** Bytes of the file; undefined where nobody knows, as for a pipe. */
  readonly fileBytes: number | undefined
  readonly #path: string
  #readBytes = 0
  /** The one reading of a pipe, once some of it was looked at. */
  #begun: AsyncGenerator<Uint8Array, void, undefined> | undefined
  #reading: AsyncGenerator<Uint8Array, void, undefined> | undefined

  private constructor(path: string, fileBytes: number | undefined) {
    this.#path = path
    this.fileBytes = fileBytes
  }

  /**
   * @param path of a file or pipe; `-` is stdin
   * @throws ContainerError `NOT_FOUND`, `IO`
   */
  static async of(path: string): Promise<ArchiveStream> {
    if (path === STDIN) return new ArchiveStream(path, undefined)
    try {
      const status = await stat(path)
      return new ArchiveStream(path, status.isFile() ? status.size : undefined)
    } catch (error) {
      throw readError(path, error)
    }
  }

  /** Bytes of the file that were read so far. */
  get readBytes(): number {
    return this.#readBytes
  }

  /**
   * The first bytes of what {@link bytes} gives, which gives them again.
   *
   * @returns at least `count` bytes, fewer where there are no more
   * @throws ContainerError `BAD_SOURCE`, `MISSING_TOOL`, `IO`
   */
  async peek(count: number, signal?: AbortSignal): Promise<Buffer> {
    const reading = this.bytes(signal)
    const pieces: Uint8Array[] = []
    for (let length = 0; length < count;) {
      const { done, value } = await reading.next()
      if (done) break
      pieces.push(value)
      length += value.length
    }
    const head = Buffer.concat(pieces)
    // What a pipe gave once it does not give again.
    if (this.fileBytes === undefined) {
      this.#begun = joined(head, reading)
      this.#reading = reading
    } else {
      await reading.return()
    }
    return head
  }

  /** Ends a reading that {@link peek} began and nobody went on with. */
  async close(): Promise<void> {
    await this.#reading?.return()
  }

  /**
   * Plain, gzip, zstd, xz, bzip2 or compress, told apart by the first bytes. Stopping early closes it.
   *
   * @throws ContainerError `BAD_SOURCE`, `MISSING_TOOL`, `IO`
   */
  bytes(signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    return this.#begun ?? this.#read(signal)
  }

  async *#read(signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const stream = await this.#open()
    // A pipe may be silent for long: the signal ends the wait, not only the next read.
    const stop = (): void => void stream.destroy(new ContainerError('CANCELLED', 'cancelled'))
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop, { once: true })
    try {
      yield* decompressed(this.#pieces(stream))
    } finally {
      signal?.removeEventListener('abort', stop)
      stream.destroy()
    }
  }

  async #open(): Promise<Readable> {
    if (this.#path === STDIN) return process.stdin
    try {
      if ((await stat(this.#path)).isFIFO()) return openPipe(this.#path)
      return (await open(this.#path, 'r')).createReadStream({ highWaterMark: READ_BYTES })
    } catch (error) {
      throw readError(this.#path, error)
    }
  }

  async *#pieces(stream: Readable): AsyncGenerator<Buffer, void, undefined> {
    try {
      for await (const piece of stream as AsyncIterable<Buffer>) {
        this.#readBytes += piece.length
        yield piece
      }
    } catch (error) {
      throw readError(this.#path, error)
    }
  }
}

/**
 * A named pipe, or what `<(command)` is, as a stream whose reads end when it is destroyed. A file's
 * reads would wait for bytes in a thread, and the process for that thread.
 */
function openPipe(path: string): Readable {
  // Neither waits for a writer; the first read does.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  return new Socket({ fd, readable: true, writable: false })
}

/**
 * What compressed bytes hold: gzip, zstd, xz, bzip2 or compress, told by the first of them; plain ones as they are.
 *
 * @throws ContainerError `BAD_SOURCE`, `MISSING_TOOL`, and what `pieces` throws
 */
export async function* decompressed(
  pieces: AsyncGenerator<Buffer, void, undefined>
): AsyncGenerator<Uint8Array, void, undefined> {
  const head = await readHead(pieces)
  const magic = head.toString('hex', 0, MAGIC_BYTES)
  const all = joined(head, pieces)
  const decompress = COMPRESSIONS.find(([start]) => start.test(magic))?.[1]
  yield* decompress === undefined ? all : decompress(all)
}

/** Enough to tell what it is, or all there is. */
async function readHead(pieces: AsyncIterator<Buffer>): Promise<Buffer> {
  let head = Buffer.alloc(0)
  while (head.length < MAGIC_BYTES) {
    const { done, value } = await pieces.next()
    if (done) break
    head = Buffer.concat([head, value])
  }
  return head
}

async function* joined<T extends Uint8Array>(
  head: T,
  rest: AsyncGenerator<T, void, undefined>
): AsyncGenerator<T, void, undefined> {
  let isHeadTaken = head.length === 0
  try {
    if (!isHeadTaken) yield head
    isHeadTaken = true
    yield* rest
  } finally {
    // A caller that stops after the head has started the rest too: it is suspended where the head ended.
    if (!isHeadTaken) await rest.return()
  }
}

async function* decompressGzip(
  compressed: AsyncIterable<Buffer>
): AsyncGenerator<Uint8Array, void, undefined> {
  const source = Readable.from(compressed)
  const gunzip = createGunzip({ chunkSize: READ_BYTES })
  source.on('error', (error) => gunzip.destroy(error))
  try {
    yield* source.pipe(gunzip) as AsyncIterable<Buffer>
  } catch (error) {
    if (isContainerError(error)) throw error
    throw badArchive('its gzip stream is damaged or ends early', undefined, error)
  } finally {
    source.destroy()
    gunzip.destroy()
  }
}

function readError(path: string, cause: unknown): ContainerError {
  if (isContainerError(cause)) return cause
  const code = systemErrorCode(cause) ?? 'unknown error'
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new ContainerError('NOT_FOUND', `there is no ${path}`, {
      hint: 'give a directory that holds a root filesystem, a tar archive, or - for stdin',
      cause
    })
  }
  return new ContainerError('IO', `cannot read ${path}: ${code}`, {
    hint:
      code === 'EACCES' || code === 'EPERM' ? 'run as a user who may read it' : 'check the disk',
    cause
  })
}
