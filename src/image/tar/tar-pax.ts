import { badArchive } from './tar-error.ts'
import { isTime } from '../tree/tree-limits.ts'
import type { Xattr } from '../tree/tree.ts'

/** The records of pax headers that mean something here. Absent: as the plain header says. */
export interface PaxRecords {
  path?: Buffer
  linkPath?: Buffer
  size?: number
  uid?: number
  gid?: number
  mtime?: { readonly seconds: number; readonly nanoseconds: number }
  /** A time is given that does not parse, or is out of range: the plain header's is what there is. */
  hasBadTime?: boolean
  /** By name, one character a byte. */
  readonly xattrs: Map<string, Buffer>
  /** POSIX ACLs as text, of kinds `access` and `default`. */
  readonly acls: Map<string, string>
  /** `GNU.sparse.…` by what follows the prefix, but for the pairs of version 0.0. */
  readonly sparse: Map<string, Buffer>
  /** Offsets and lengths of version 0.0, which repeats their keywords. */
  readonly sparsePairs: number[]
}

const SCHILY_XATTR = 'SCHILY.xattr.'
const LIBARCHIVE_XATTR = 'LIBARCHIVE.xattr.'
const SCHILY_ACL = 'SCHILY.acl.'
const GNU_SPARSE = 'GNU.sparse.'
const SPACE = 0x20
const EQUALS = 0x3d
const PLUS = 0x2b
const NEWLINE = 0x0a
/** Digits of a record's own length. */
const MAX_LENGTH_DIGITS = 10
const NANOSECOND_DIGITS = 9

/** The parts of records that are never absent. */
export function emptyPaxLists(): Pick<PaxRecords, 'xattrs' | 'acls' | 'sparse' | 'sparsePairs'> {
  return { xattrs: new Map(), acls: new Map(), sparse: new Map(), sparsePairs: [] }
}

/**
 * Adds the records of one extended header, `length keyword=value\n` each, to those before it.
 *
 * @throws ContainerError `BAD_SOURCE`
 * @see POSIX.1-2017, pax, "pax Extended Header"
 */
export function addPaxRecords(body: Buffer, records: PaxRecords): void {
  let start = 0
  while (start < body.length) {
    // A few programs fill the header up.
    if (body[start] === 0 && body.subarray(start).every((byte) => byte === 0)) return
    const space = body.indexOf(SPACE, start)
    if (space === -1 || space - start > MAX_LENGTH_DIGITS) throw badPax()
    if (body[start] === PLUS) throw badPax()
    const end = start + decimal(body.toString('latin1', start, space))
    const equals = body.indexOf(EQUALS, space)
    if (end > body.length || equals === -1 || equals >= end || body[end - 1] !== NEWLINE) {
      throw badPax()
    }
    const keyword = body.toString('latin1', space + 1, equals)
    addRecord(keyword, Buffer.from(body.subarray(equals + 1, end - 1)), records)
    start = end
  }
}

/** The attributes of an entry; where two programs' forms are there, they say the same. */
export function paxXattrs({ xattrs }: PaxRecords): Xattr[] {
  return [...xattrs].map(([name, value]) => ({ name: Buffer.from(name, 'latin1'), value }))
}

/** A count or offset in decimal; a few programs write a sign or zeros before it. @throws ContainerError `BAD_SOURCE` */
export function decimal(text: string): number {
  const value = /^\+?\d+$/.test(text) ? Number(text) : NaN
  if (!Number.isSafeInteger(value)) throw badPax()
  return value
}

function addRecord(keyword: string, value: Buffer, records: PaxRecords): void {
  if (keyword.startsWith(SCHILY_XATTR)) {
    records.xattrs.set(keyword.slice(SCHILY_XATTR.length), value)
    return
  }
  if (keyword.startsWith(LIBARCHIVE_XATTR)) {
    const name = percentDecoded(keyword.slice(LIBARCHIVE_XATTR.length))
    if (!records.xattrs.has(name)) {
      records.xattrs.set(name, Buffer.from(value.toString('latin1'), 'base64'))
    }
    return
  }
  if (keyword.startsWith(SCHILY_ACL)) {
    records.acls.set(keyword.slice(SCHILY_ACL.length), value.toString('latin1'))
    return
  }
  if (keyword.startsWith(GNU_SPARSE)) {
    const key = keyword.slice(GNU_SPARSE.length)
    if (key === 'offset' || key === 'numbytes') {
      // Offset and length take turns.
      const isOffset = records.sparsePairs.length % 2 === 0
      if (isOffset !== (key === 'offset')) throw badPax()
      records.sparsePairs.push(decimal(value.toString('latin1')))
    } else {
      records.sparse.set(key, value)
    }
    return
  }
  addStandardRecord(keyword, value, records)
}

function addStandardRecord(keyword: string, value: Buffer, records: PaxRecords): void {
  const text = (): string => value.toString('latin1')
  // An empty value takes a global record back.
  const isEmpty = value.length === 0
  switch (keyword) {
    case 'path':
      if (isEmpty) delete records.path
      else records.path = value
      break
    case 'linkpath':
      if (isEmpty) delete records.linkPath
      else records.linkPath = value
      break
    case 'size':
    case 'uid':
    case 'gid':
      if (isEmpty) delete records[keyword]
      else records[keyword] = decimal(text())
      break
    case 'mtime':
      setTime(isEmpty ? undefined : text(), records)
      break
    default:
    // Names of owners, access times, comments, character sets: not kept in an image.
  }
}

function setTime(text: string | undefined, records: PaxRecords): void {
  delete records.mtime
  delete records.hasBadTime
  if (text === undefined) return
  const time = parseTime(text)
  if (time === undefined) records.hasBadTime = true
  else records.mtime = time
}

/** Seconds and a fraction of any length, rounded down to nanoseconds, also before 1970; undefined for anything else. */
function parseTime(text: string): PaxRecords['mtime'] | undefined {
  const match = /^([+-]?)(\d+)(?:\.(\d*))?$/.exec(text)
  if (match === null) return undefined
  const [, sign, whole = '0', fraction = ''] = match
  const seconds = Number(whole)
  if (!isTime(seconds + 1)) return undefined
  const nanoseconds = Number(fraction.slice(0, NANOSECOND_DIGITS).padEnd(NANOSECOND_DIGITS, '0'))
  if (sign !== '-') return { seconds, nanoseconds }
  if (nanoseconds === 0) return { seconds: seconds === 0 ? 0 : -seconds, nanoseconds }
  return { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds }
}

/** libarchive writes bytes that are no plain letters as `%XX`. */
function percentDecoded(name: string): string {
  return name.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16))
  )
}

function badPax(): Error {
  return badArchive('an extended header does not parse')
}
