import { execFileSync } from 'node:child_process'
import { gzipSync } from 'node:zlib'
import { tarOf, writeChecksum } from './tar-bytes.ts'
import type { PlainEntry } from './tar-bytes.ts'

const RECORD = 512
const SIZE = 124
const MTIME = 136
export const END = Buffer.alloc(2 * RECORD)

/** Entries without the records that end an archive. */
export function entriesOf(...entries: PlainEntry[]): Buffer {
  return tarOf(...entries).subarray(0, -END.length)
}

/** Changes the header at the start of some entries. */
export function withHeader(entries: Buffer, change: (header: Buffer) => void): Buffer {
  const changed = Buffer.from(entries)
  const header = changed.subarray(0, RECORD)
  change(header)
  writeChecksum(header)
  return changed
}

/** Gives the first entry a size, whatever follows. */
export function withSize(entries: Buffer, size: string): Buffer {
  return withHeader(entries, (header) => {
    header.fill(0, SIZE, SIZE + 12)
    header.write(size, SIZE, 12, 'latin1')
  })
}

function paxRecord(text: string): string {
  const rest = ` ${text}\n`
  let length = rest.length + 1
  while (`${length}${rest}`.length !== length) length++
  return `${length}${rest}`
}

/** An extended header with some records. */
export function pax(...records: string[]): Buffer {
  return entriesOf({ path: 'pax', type: 'x', content: records.map(paxRecord).join('') })
}

const file = (path: string, content = `this is ${path}\n`): Buffer => entriesOf({ path, content })
const A = file('a')
const B = file('b')
const archive = (...parts: Buffer[]): Buffer => Buffer.concat([...parts, END])
const link = (path: string): Buffer => entriesOf({ path, type: '1', link: 'a' })
const sizeOf = (bytes: Buffer): string => bytes.length.toString(8).padStart(11, '0')
/** Too various to become small. */
const NUMBERS = Array.from({ length: 30_000 }, (_, i) => (i * 7919) % 100_003).join(' ')
const CONTENT = Buffer.from('this is a\n')

/** A file of 200,000 bytes, of which the last five are stored. */
function sparse(map: string, stored = 'holes'): Buffer {
  const padded = map.padEnd(Math.ceil(map.length / RECORD) * RECORD, '\0')
  const names = ['GNU.sparse.major=1', 'GNU.sparse.minor=0', 'GNU.sparse.name=sparse']
  return Buffer.concat([
    pax(...names, 'GNU.sparse.realsize=200000'),
    entriesOf({ path: 'GNUSparseFile.0/sparse', content: `${padded}${stored}` })
  ])
}

const label = (size: string): Buffer =>
  withSize(entriesOf({ path: 'A volume', type: 'V', content: '' }), size)
const withTime = (field: Buffer): Buffer => withHeader(A, (header) => field.copy(header, MTIME))

function compress(bytes: Buffer): Buffer {
  return execFileSync('bsdtar', ['-c', '-Z', '-f', '-', '--format=ustar', '@-'], { input: bytes })
}

function cutCompressed(bytes: Buffer): Buffer {
  const compressed = compress(bytes)
  return compressed.subarray(0, compressed.length >> 1)
}

/** What other tar programs' tests hold, made anew. Names are those of the table in docs/tar-archives.md. */
export const ODD_ARCHIVES: Readonly<Record<string, Buffer>> = {
  '`compress` (`.Z`)': compress(archive(A, B)),
  '`compress`, cut': cutCompressed(archive(A, file('c', NUMBERS))),
  'two members of gzip': Buffer.concat([gzipSync(A), gzipSync(archive(B))]),
  'no records at the end': Buffer.concat([A, B]),
  'part of a record of zeros at the end': Buffer.concat([A, B, END.subarray(0, 300)]),
  'one record of zeros at the end': Buffer.concat([A, B, END.subarray(RECORD)]),
  'one record of zeros in the middle': archive(A, END.subarray(RECORD), B),
  'cut in a header': Buffer.concat([A, B.subarray(0, 300)]),
  'cut in a file': Buffer.concat([A, B.subarray(0, RECORD + 4)]),
  'cut after an extended header': Buffer.concat([A, pax('mtime=1')]),
  'no bytes': Buffer.alloc(0),
  'only the end marker': END,
  'two archives joined by `cat`': archive(archive(A), B),
  'two compressed archives joined': Buffer.concat([gzipSync(archive(A)), gzipSync(archive(B))]),
  'text after the end': Buffer.concat([archive(A, B), Buffer.from('signed by somebody\n')]),
  'pax mtime of 40 digits after the point': archive(pax(`mtime=1.${'1234567890'.repeat(4)}`), A),
  'pax mtime with zeros before it': archive(pax(`mtime=${'0'.repeat(30)}77.5`), A),
  'pax mtime with a plus': archive(pax('mtime=+77'), A),
  'pax mtime before 1970': archive(pax('mtime=-77.25'), A),
  'pax mtime out of range': archive(pax(`mtime=${'9'.repeat(30)}`), A),
  'pax mtime that is a word': archive(pax('mtime=yesterday'), A),
  'pax mtime with a comma': archive(pax('mtime=77,5'), A),
  'pax atime that is a word': archive(pax('atime=yesterday', 'ctime='), A),
  'pax uid that is a word': archive(pax('uid=root'), A),
  'pax path with a zero byte': archive(pax('path=a\0b'), A),
  'a pax header filled up with zeros': archive(
    entriesOf({ path: 'pax', type: 'x', content: `${paxRecord('mtime=77')}\0\0\0` }),
    A
  ),
  'pax size with a plus': archive(pax(`size=+${CONTENT.length}`), A),
  'pax size that is a word': archive(pax('size=ten'), A),
  'mtime of 2^80 in a header': archive(withTime(Buffer.from('800000010000000000000000', 'hex')), B),
  'a volume label': archive(label('00000000000'), A),
  'a volume label of size 7 without data': archive(label('00000000007'), A),
  'a volume label of a negative size': archive(
    label('\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xf9'),
    A
  ),
  'a volume label with data': archive(entriesOf({ path: 'V', type: 'V', content: 'data' }), A),
  'a sparse map 1.0': archive(sparse('1\n199995\n5\n'), A),
  'a sparse map 1.0 after comments': archive(
    sparse(`#!gnu-sparse-format\n${`#${' '.repeat(70)}\n`.repeat(12)}1\n199995\n5\n`)
  ),
  'a sparse map 1.0 with zeros before numbers': archive(
    sparse('0001\n0000000000000000000000199995\n05\n'),
    A
  ),
  'a sparse map 1.0 for more data than there is': archive(sparse('1\n199990\n10\n'), A),
  'a hardlink with a size and no data': archive(A, withSize(link('b'), '00000000012')),
  'a hardlink with pax, a size and no data': archive(
    A,
    pax('mtime=1'),
    withSize(link('b'), '00000000012'),
    file('c')
  ),
  'the same at the end': archive(A, pax('mtime=1'), withSize(link('b'), '00000000012')),
  'a hardlink with pax, a size and its data': archive(
    A,
    pax('mtime=1'),
    withSize(link('b'), sizeOf(CONTENT)),
    A.subarray(RECORD),
    file('c')
  ),
  'a damaged header': archive(A, Buffer.from(B).fill('x', 0, 4), file('c')),
  'an unknown type': archive(A, entriesOf({ path: 'b', type: '?' })),
  'a path with `..`': archive(A, file('../b')),
  'the second of two volumes': archive(entriesOf({ path: 'a', type: 'M', content: 'rest' }))
}
