import { constants } from 'node:os'
import { errno, loadLibC } from '../../core/host/libc.ts'
import { CHUNK_BYTES } from '../tree/tree.ts'

const SEEK_DATA = 3
const SEEK_HOLE = 4

/** Bytes of a file, on chunk boundaries except at the file's end. */
export interface DataRange {
  readonly start: number
  readonly end: number
}

/**
 * The parts of a file that hold data, widened to whole chunks: a chunk is a hole only when all of it
 * is. Where the filesystem does not know, everything is data.
 *
 * @see lseek(2), SEEK_DATA and SEEK_HOLE
 */
export function* dataRanges(fd: number, size: number): Generator<DataRange, void, undefined> {
  if (process.platform !== 'linux') {
    if (size > 0) yield { start: 0, end: size }
    return
  }
  const libc = loadLibC()
  let offset = 0
  while (offset < size) {
    const data = libc.lseek(fd, offset, SEEK_DATA)
    if (data < 0) {
      // ENXIO: nothing but hole up to the end.
      if (errno() !== constants.errno.ENXIO) yield { start: offset, end: size }
      return
    }
    if (data >= size) return
    const start = Math.max(offset, Math.floor(data / CHUNK_BYTES) * CHUNK_BYTES)
    const hole = libc.lseek(fd, data, SEEK_HOLE)
    const dataEnd = hole < 0 ? size : hole
    const end = Math.min(size, Math.ceil(dataEnd / CHUNK_BYTES) * CHUNK_BYTES)
    yield { start, end }
    offset = end
  }
}
