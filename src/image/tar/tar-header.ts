import { badArchive } from './tar-error.ts'
import { isTime } from '../tree/tree-limits.ts'

/** Everything in a tar archive comes in records of so many bytes. */
export const TAR_RECORD_BYTES = 512

/** One header record as it stands, before extended headers are applied. Numbers are not yet bounded. */
export interface TarHeader {
  /** Type flag, one character. */
  readonly type: string
  /** Bytes; not necessarily UTF-8. */
  readonly path: Buffer
  readonly linkPath: Buffer
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Bytes that follow, for the types that have any. */
  readonly size: number
  readonly mtimeSeconds: number
  /** Whether the field holds a time that no tree can, for which there is 0. */
  readonly isTimeOutOfRange: boolean
  readonly deviceMajor: number
  readonly deviceMinor: number
}

const NAME_BYTES = 100
const MODE = 100
const UID = 108
const GID = 116
const SIZE = 124
const MTIME = 136
const CHECKSUM = 148
const CHECKSUM_BYTES = 8
const TYPE = 156
const LINK_NAME = 157
const MAGIC = 257
const DEVICE_MAJOR = 329
const DEVICE_MINOR = 337
const PREFIX = 345
const PREFIX_BYTES = 155
/** star keeps times behind a shorter prefix, and signs its records here. */
const STAR_PREFIX_BYTES = 131
const STAR_MAGIC = 508
/** Its name is that of the volume, and no file's. */
export const GNU_VOLUME_LABEL = 'V'
const SLASH = Buffer.from('/')
const SPACE = 0x20

/**
 * Reads one header record: v7, ustar, star or old GNU.
 *
 * @returns undefined for a record of zeros, which ends an archive
 * @throws ContainerError `BAD_SOURCE` for anything that is no header
 * @see tar(5) of libarchive; POSIX.1-2017, pax, "ustar Interchange Format"
 */
export function parseTarHeader(record: Buffer): TarHeader | undefined {
  const sum = checkSums(record)
  if (sum.unsigned === CHECKSUM_BYTES * SPACE && record.every((byte) => byte === 0)) {
    return undefined
  }
  const stored = parseOctal(record.subarray(CHECKSUM, CHECKSUM + CHECKSUM_BYTES))
  if (stored !== sum.unsigned && stored !== sum.signed) throw badArchive('a header is damaged')
  const name = text(record, 0, NAME_BYTES)
  const prefix = prefixOf(record)
  const isUstar = isPosix(record) || record.toString('latin1', MAGIC, MAGIC + 5) === 'ustar'
  const type = String.fromCharCode(record[TYPE]!)
  const mtimeSeconds = number(record, MTIME, 12)
  const isTimeOutOfRange = !isTime(mtimeSeconds)
  const device = (offset: number): number => (isUstar ? exactNumber(record, offset, 8) : 0)
  return {
    type,
    path: prefix.length === 0 ? name : Buffer.concat([prefix, SLASH, name]),
    linkPath: text(record, LINK_NAME, NAME_BYTES),
    mode: exactNumber(record, MODE, 8),
    uid: exactNumber(record, UID, 8),
    gid: exactNumber(record, GID, 8),
    size: type === GNU_VOLUME_LABEL ? labelSize(record) : exactNumber(record, SIZE, 12),
    mtimeSeconds: isTimeOutOfRange ? 0 : mtimeSeconds,
    isTimeOutOfRange,
    deviceMajor: device(DEVICE_MAJOR),
    deviceMinor: device(DEVICE_MINOR)
  }
}

/**
 * A number field: octal text, or base 256 (two's complement) where the highest bit is set.
 *
 * @throws ContainerError `BAD_SOURCE` for text, and for what does not fit 53 bits
 */
export function parseTarNumber(field: Buffer): number {
  const value = parseNumber(field)
  if (!Number.isSafeInteger(value)) throw badArchive('a number in a header is too large')
  return value
}

/** {@link parseTarNumber}, only roughly where it does not fit 53 bits. */
function parseNumber(field: Buffer): number {
  if ((field[0]! & 0x80) === 0) return parseOctal(field)
  // The highest bit marks the form, the next one is the sign.
  let value = BigInt(field[0]! & 0x7f)
  if ((value & 0x40n) !== 0n) value -= 0x80n
  for (const byte of field.subarray(1)) value = value * 256n + BigInt(byte)
  return Number(value)
}

function number(record: Buffer, offset: number, length: number): number {
  return parseNumber(record.subarray(offset, offset + length))
}

function exactNumber(record: Buffer, offset: number, length: number): number {
  return parseTarNumber(record.subarray(offset, offset + length))
}

/** A label is all in its header; some programs leave anything where the size of what follows belongs. */
function labelSize(record: Buffer): number {
  try {
    return Math.max(0, exactNumber(record, SIZE, 12))
  } catch {
    return 0
  }
}

function parseOctal(field: Buffer): number {
  const digits = field.toString('latin1').replace(/\0[^]*$/, '')
  const trimmed = digits.trim()
  if (trimmed === '') return 0
  if (!/^-?[0-7]+$/.test(trimmed)) throw badArchive('a header lacks a number')
  return Number.parseInt(trimmed, 8)
}

/** Some old programs summed signed characters. The checksum's own field counts as spaces. */
function checkSums(record: Buffer): { unsigned: number; signed: number } {
  let unsigned = 0
  let signed = 0
  for (let i = 0; i < TAR_RECORD_BYTES; i++) {
    const inField = i >= CHECKSUM && i < CHECKSUM + CHECKSUM_BYTES
    const byte = inField ? SPACE : record[i]!
    unsigned += byte
    signed += byte > 127 ? byte - 256 : byte
  }
  return { unsigned, signed }
}

function isPosix(record: Buffer): boolean {
  return record.toString('latin1', MAGIC, MAGIC + 6) === 'ustar\0'
}

/** Old GNU headers keep times and sparse maps where POSIX has the prefix. */
function prefixOf(record: Buffer): Buffer {
  if (!isPosix(record)) return Buffer.alloc(0)
  const isStar = record.toString('latin1', STAR_MAGIC, STAR_MAGIC + 4) === 'tar\0'
  return text(record, PREFIX, isStar ? STAR_PREFIX_BYTES : PREFIX_BYTES)
}

function text(record: Buffer, offset: number, length: number): Buffer {
  const field = record.subarray(offset, offset + length)
  const end = field.indexOf(0)
  // A copy: records are views of what is being streamed.
  return Buffer.from(end === -1 ? field : field.subarray(0, end))
}
