import { badArchive } from './tar-error.ts'
import { parseTarNumber, TAR_RECORD_BYTES } from './tar-header.ts'
import { decimal } from './tar-pax.ts'
import type { ByteStream } from './byte-stream.ts'
import type { PaxRecords } from './tar-pax.ts'

/** Where the stored bytes of a sparse file belong. */
export interface SparseMap {
  /** Size of the file with its holes. */
  readonly size: number
  /** Offset and length of each piece that is stored, ascending and not overlapping. */
  readonly pieces: readonly { readonly offset: number; readonly length: number }[]
  /** How many bytes of the entry's data the map itself took. */
  readonly mapBytes: number
}

/** 24 bytes of an entry's map, at most; a file of 4 GiB that alternates every 4 KiB has half of it. */
const MAX_PIECES = 1024 * 1024
/** In the old GNU header: four pairs, then whether more follow, then the size. */
const OLD_MAP = 386
const OLD_PAIRS = 4
const OLD_EXTENDED = 482
const OLD_REAL_SIZE = 483
/** A record that continues the map: 21 pairs, then whether more follow. */
const MORE_PAIRS = 21
const MORE_EXTENDED = 504
const PAIR_BYTES = 24
const NUMBER_BYTES = 12
/** Some programs fill a map with zeros before a number, or with comments. */
const MAX_LINE = 4096
const COMMENT = '#'
const NEWLINE = 0x0a

/**
 * The map of type `S`, which follows the header in records that its size does not count.
 *
 * @see GNU tar's manual, "Storing Sparse Files", "Old GNU Format"
 */
export async function readOldSparseMap(header: Buffer, stream: ByteStream): Promise<SparseMap> {
  const numbers: number[] = []
  addOldPairs(header.subarray(OLD_MAP), OLD_PAIRS, numbers)
  const size = numberAt(header, OLD_REAL_SIZE)
  let continues = header[OLD_EXTENDED] !== 0
  while (continues) {
    const record = await stream.read(TAR_RECORD_BYTES)
    if (record.length < TAR_RECORD_BYTES) throw badArchive('it ends in a sparse map')
    addOldPairs(record, MORE_PAIRS, numbers)
    continues = record[MORE_EXTENDED] !== 0
  }
  return checkedMap(size, numbers, 0)
}

/**
 * The map that pax records give, of versions 0.0, 0.1 or 1.0; the last is at the start of the data.
 *
 * @returns undefined for a file that is not sparse
 */
export async function readPaxSparseMap(
  pax: PaxRecords,
  stream: ByteStream
): Promise<SparseMap | undefined> {
  const text = (key: string): string | undefined => pax.sparse.get(key)?.toString('latin1')
  const size = text('realsize') ?? text('size')
  if (size === undefined) {
    if (pax.sparse.size > 0) throw badArchive('a sparse file has no size')
    return undefined
  }
  const major = text('major')
  if (major !== undefined) {
    if (major !== '1' || text('minor') !== '0') throw badArchive(`sparse files of version ${major}`)
    return readLeadingMap(decimal(size), stream)
  }
  const map = text('map')
  const numbers = map === undefined || map === '' ? pax.sparsePairs : map.split(',').map(decimal)
  return checkedMap(decimal(size), numbers, 0)
}

/** Version 1.0: decimal lines, a count and then as many pairs, filled up to a whole record. Lines with # are passed over. */
async function readLeadingMap(size: number, stream: ByteStream): Promise<SparseMap> {
  let records = 0
  let record = Buffer.alloc(0)
  const readLine = async (): Promise<string> => {
    let line = ''
    for (;;) {
      const newline = record.indexOf(NEWLINE)
      line += record.toString('latin1', 0, newline === -1 ? record.length : newline)
      if (line.length > MAX_LINE) throw badArchive('a sparse map does not parse')
      if (newline !== -1) {
        record = record.subarray(newline + 1)
        return line
      }
      record = Buffer.from(await stream.read(TAR_RECORD_BYTES))
      if (record.length < TAR_RECORD_BYTES) throw badArchive('it ends in a sparse map')
      records++
    }
  }
  const readNumber = async (): Promise<number> => {
    for (;;) {
      const line = await readLine()
      if (!line.startsWith(COMMENT)) return decimal(line)
    }
  }
  const count = await readNumber()
  if (count > MAX_PIECES) throw tooManyPieces()
  const numbers: number[] = []
  for (let i = 0; i < 2 * count; i++) numbers.push(await readNumber())
  return checkedMap(size, numbers, records * TAR_RECORD_BYTES)
}

function addOldPairs(bytes: Buffer, pairs: number, numbers: number[]): void {
  for (let i = 0; i < pairs; i++) {
    const pair = bytes.subarray(i * PAIR_BYTES, (i + 1) * PAIR_BYTES)
    // The first unused pair ends the map.
    if (pair[0] === 0) return
    numbers.push(numberAt(pair, 0), numberAt(pair, NUMBER_BYTES))
  }
  if (numbers.length > 2 * MAX_PIECES) throw tooManyPieces()
}

function numberAt(bytes: Buffer, offset: number): number {
  return parseTarNumber(bytes.subarray(offset, offset + NUMBER_BYTES))
}

function checkedMap(size: number, numbers: readonly number[], mapBytes: number): SparseMap {
  if (numbers.length % 2 !== 0) throw badArchive('a sparse map does not parse')
  if (numbers.length > 2 * MAX_PIECES) throw tooManyPieces()
  const pieces: { offset: number; length: number }[] = []
  let next = 0
  for (let i = 0; i < numbers.length; i += 2) {
    const offset = numbers[i]!
    const length = numbers[i + 1]!
    if (offset < next || length < 0 || offset + length > size) {
      throw badArchive('the pieces of a sparse file overlap or exceed it')
    }
    next = offset + length
    // Writers mark the end of a file with an empty piece.
    if (length > 0) pieces.push({ offset, length })
  }
  return { size, pieces, mapBytes }
}

function tooManyPieces(): Error {
  return badArchive(`a sparse file of more than ${MAX_PIECES} pieces`)
}
