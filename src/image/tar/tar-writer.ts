import { TAR_RECORD_BYTES } from './tar-header.ts'
import type { InodeAttributes } from '../tree/tree.ts'

/** A pax record: keyword and value, both one character a byte or bytes. */
export type PaxRecord = readonly [keyword: string, value: string | Uint8Array]

/** What one entry's header says; everything that its fields cannot hold goes into pax records. */
export interface TarHeaderFields {
  readonly path: Buffer
  /** Type flag, one character. */
  readonly type: string
  readonly linkPath?: Uint8Array
  readonly attributes: InodeAttributes
  /** Bytes that follow. */
  readonly size: number
  readonly records?: readonly PaxRecord[]
}

const NAME_BYTES = 100
const MAX_OCTAL_7 = 0o777_7777
const MAX_OCTAL_11 = 0o777_7777_7777
/** Keeps what follows on record boundaries. */
const ZEROS = Buffer.alloc(TAR_RECORD_BYTES)

/** What ends an archive. */
export const TAR_END = Buffer.alloc(2 * TAR_RECORD_BYTES)

/**
 * An entry's header, after an extended header where a field does not hold what it should.
 *
 * @see POSIX.1-2017, pax, "pax Interchange Format"
 */
export function tarHeader(fields: TarHeaderFields): Buffer {
  const { attributes, size, path } = fields
  const { mtimeSeconds, mtimeNanoseconds } = attributes
  const linkPath = Buffer.from(fields.linkPath ?? '')
  const records: PaxRecord[] = []
  if (path.length > NAME_BYTES) records.push(['path', path])
  if (linkPath.length > NAME_BYTES) records.push(['linkpath', linkPath])
  if (size > MAX_OCTAL_11) records.push(['size', String(size)])
  if (attributes.uid > MAX_OCTAL_7) records.push(['uid', String(attributes.uid)])
  if (attributes.gid > MAX_OCTAL_7) records.push(['gid', String(attributes.gid)])
  if (mtimeNanoseconds !== 0 || mtimeSeconds < 0 || mtimeSeconds > MAX_OCTAL_11) {
    records.push(['mtime', timeText(mtimeSeconds, mtimeNanoseconds)])
  }
  records.push(...(fields.records ?? []))
  const plain = plainHeader(fields, linkPath)
  if (records.length === 0) return plain
  const body = Buffer.concat(records.map(paxRecord))
  const extended = plainHeader(
    { path: Buffer.from('pax'), type: 'x', attributes, size: body.length },
    Buffer.alloc(0)
  )
  return Buffer.concat([extended, body, tarPadding(body.length), plain])
}

/** Zeros up to the next record. */
export function tarPadding(size: number): Buffer {
  const rest = size % TAR_RECORD_BYTES
  return rest === 0 ? Buffer.alloc(0) : ZEROS.subarray(rest)
}

function plainHeader(fields: TarHeaderFields, linkPath: Buffer): Buffer {
  const { attributes } = fields
  const header = Buffer.alloc(TAR_RECORD_BYTES)
  fields.path.copy(header, 0, 0, NAME_BYTES)
  writeOctal(header, 100, 8, attributes.mode)
  writeOctal(header, 108, 8, attributes.uid)
  writeOctal(header, 116, 8, attributes.gid)
  writeOctal(header, 124, 12, fields.size)
  writeOctal(header, 136, 12, Math.max(0, attributes.mtimeSeconds))
  header.write(fields.type, 156, 'latin1')
  linkPath.copy(header, 157, 0, NAME_BYTES)
  header.write('ustar\x0000', 257, 'latin1')
  writeOctal(header, 329, 8, attributes.deviceMajor)
  writeOctal(header, 337, 8, attributes.deviceMinor)
  header.fill(' ', 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}

/** What does not fit reads as 0; a pax record has it then. */
function writeOctal(header: Buffer, offset: number, length: number, value: number): void {
  const digits = value.toString(8)
  const text = digits.length < length ? digits : '0'
  header.write(text.padStart(length - 1, '0'), offset, 'latin1')
}

/** `length keyword=value\n`, where the length counts its own digits too. */
function paxRecord([keyword, value]: PaxRecord): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'latin1') : Buffer.from(value)
  const rest = Buffer.concat([
    Buffer.from(` ${keyword}=`, 'latin1'),
    bytes,
    Buffer.from('\n', 'latin1')
  ])
  let length = rest.length
  while (String(length).length + rest.length !== length) {
    length = String(length).length + rest.length
  }
  return Buffer.concat([Buffer.from(String(length)), rest])
}

/** Decimal seconds; a negative time is the number nearest to zero that is not above it. */
function timeText(seconds: number, nanoseconds: number): string {
  if (nanoseconds === 0) return String(seconds)
  const isNegative = seconds < 0
  const whole = isNegative ? -seconds - 1 : seconds
  const fraction = isNegative ? 1_000_000_000 - nanoseconds : nanoseconds
  return `${isNegative ? '-' : ''}${whole}.${String(fraction).padStart(9, '0')}`
}
