import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../../core/errors.ts'
import { ioError } from '../source/source-reader.ts'
import { badImage } from './image-error.ts'

/** The files that a container image consists of, whether in a directory or in an archive. */
export interface BlobStore {
  /** Bytes of a file, or undefined where there is none. */
  size(name: string): Promise<number | undefined>
  /**
   * The bytes of a file from `start` on. Stopping early closes it.
   *
   * @throws ContainerError `IO`; `BAD_SOURCE` where there is no such file
   */
  read(name: string, start?: number): AsyncGenerator<Buffer, void, undefined>
}

export const READ_BYTES = 256 * 1024
// A fifo in the place of a file would keep open(2) waiting.
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK
const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'])

/** The files below a directory. */
export class DirectoryBlobs implements BlobStore {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  async size(name: string): Promise<number | undefined> {
    const file = await this.#open(name)
    if (file === undefined) return undefined
    try {
      const status = await file.stat()
      return status.isFile() ? status.size : undefined
    } finally {
      await file.close()
    }
  }

  async *read(name: string, start = 0): AsyncGenerator<Buffer, void, undefined> {
    const file = await this.#open(name)
    if (file === undefined) throw noBlob(name)
    try {
      if (!(await file.stat()).isFile()) throw noBlob(name)
      const options = { start, highWaterMark: READ_BYTES, autoClose: false }
      yield* file.createReadStream(options) as AsyncIterable<Buffer>
    } catch (error) {
      if (systemErrorCode(error) === undefined) throw error
      throw ioError(Buffer.from(join(this.#directory, name)), error)
    } finally {
      await file.close()
    }
  }

  async #open(name: string) {
    // Names come from the image.
    if (name.split('/').includes('..')) return undefined
    const path = join(this.#directory, name)
    try {
      return await open(path, OPEN_FLAGS)
    } catch (error) {
      if (ABSENT.has(systemErrorCode(error) ?? '')) return undefined
      throw ioError(Buffer.from(path), error)
    }
  }
}

export function noBlob(name: string): Error {
  return badImage(`${name} is not in it`)
}
