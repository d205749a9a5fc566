import { createHash } from 'node:crypto'
import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { BigIntStats } from 'node:fs'
import { dataRanges } from '../../src/image/source/sparse.ts'
import { readXattrs } from '../../src/image/source/xattr.ts'

/**
 * What a tree says of its paths, by class. Left out on purpose, because no file system can be told to
 * give it back: inode numbers, atime, ctime, birth time, and the size of a directory.
 */
export const FACT_CLASSES = [
  'type',
  'mode',
  'uid',
  'gid',
  /** Size of files and symlinks. */
  'size',
  'mtime',
  /** Link count of everything but directories. */
  'links',
  /** Link count of directories: 2 and one for each directory inside. */
  'directory-links',
  /** The other names of the same inode. */
  'hardlinks',
  'target',
  'device',
  'xattrs',
  /** Files: a hash over all that is not zero and where it stands. */
  'content',
  /**
   * Files: the pieces of 64 KiB that lseek(2) says hold data. File systems that cannot tell call
   * everything data, and so do not match a sparse file.
   */
  'holes'
] as const
export type FactClass = (typeof FACT_CLASSES)[number]

export type Facts = Map<FactClass, string>
/** By path below the root, as latin1: one character a byte. The root itself is `.`. */
export type TreeFacts = Map<string, Facts>

const SLASH = Buffer.from('/')
const MODE_BITS = 0o7777n
/** Longer paths are reached through an open directory: no path of the kernel's may exceed 4,095 bytes. */
const MAX_WALKED_BYTES = 3_000
const PIECE_BYTES = 65_536
const READ_BYTES = 16 * PIECE_BYTES
const ZEROS = Buffer.alloc(PIECE_BYTES)
/** Walking is synchronous; timers and sockets of this process get their turn after so many names. */
const NAMES_A_TURN = 500

/** @param skip paths as in {@link TreeFacts} that are left out, with all that is below them */
export async function readTreeFacts(root: string, skip: ReadonlySet<string>): Promise<TreeFacts> {
  const walk = new Walk(skip)
  // The dot makes a root that is a link, such as /proc/1/root, the directory it leads to.
  await walk.visit(Buffer.from(`${root}/.`), Buffer.alloc(0))
  walk.nameGroups()
  return walk.facts
}

class Walk {
  readonly facts: TreeFacts = new Map()
  readonly #skip: ReadonlySet<string>
  readonly #names = new Map<string, string[]>()
  #visited = 0

  constructor(skip: ReadonlySet<string>) {
    this.#skip = skip
  }

  /** @param path how to reach it; `relative` is what it is called */
  async visit(path: Buffer, relative: Buffer): Promise<void> {
    if (++this.#visited % NAMES_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
    const name = relative.length === 0 ? '.' : relative.toString('latin1')
    const stats = lstatSync(path, { bigint: true })
    const facts = await factsOf(path, stats)
    this.facts.set(name, facts)
    if (!stats.isDirectory()) {
      const inode = `${stats.dev}:${stats.ino}`
      const group = this.#names.get(inode)
      if (group === undefined) this.#names.set(inode, [name])
      else group.push(name)
      return
    }
    if (path.length <= MAX_WALKED_BYTES) return this.#visitBelow(path, relative)
    const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      await this.#visitBelow(Buffer.from(`/proc/self/fd/${fd}`), relative)
    } finally {
      closeSync(fd)
    }
  }

  async #visitBelow(path: Buffer, relative: Buffer): Promise<void> {
    for (const name of readdirSync(path, { encoding: 'buffer' }).sort((a, b) => a.compare(b))) {
      const below = relative.length === 0 ? name : Buffer.concat([relative, SLASH, name])
      if (this.#skip.has(below.toString('latin1'))) continue
      await this.visit(Buffer.concat([path, SLASH, name]), below)
    }
  }

  nameGroups(): void {
    for (const group of this.#names.values()) {
      const names = group.toSorted().join(', ')
      for (const name of group) this.facts.get(name)!.set('hardlinks', names)
    }
  }
}

async function factsOf(path: Buffer, stats: BigIntStats): Promise<Facts> {
  const type = typeOf(stats)
  const facts: Facts = new Map([
    ['type', type],
    ['mode', (stats.mode & MODE_BITS).toString(8)],
    ['uid', `${stats.uid}`],
    ['gid', `${stats.gid}`],
    ['mtime', `${stats.mtimeNs}`],
    [type === 'directory' ? 'directory-links' : 'links', `${stats.nlink}`],
    ['xattrs', xattrsOf(path)]
  ])
  if (type === 'character' || type === 'block') facts.set('device', stats.rdev.toString(16))
  if (type === 'file' || type === 'symlink') facts.set('size', `${stats.size}`)
  if (type === 'symlink') {
    facts.set('target', readlinkSync(path, { encoding: 'buffer' }).toString('latin1'))
  }
  if (type === 'file' && stats.size > 0n) {
    const { content, holes } = await contentOf(path, Number(stats.size))
    facts.set('content', content).set('holes', holes)
  }
  return facts
}

function typeOf(stats: BigIntStats): string {
  if (stats.isFile()) return 'file'
  if (stats.isDirectory()) return 'directory'
  if (stats.isSymbolicLink()) return 'symlink'
  if (stats.isFIFO()) return 'fifo'
  if (stats.isSocket()) return 'socket'
  return stats.isCharacterDevice() ? 'character' : 'block'
}

function xattrsOf(path: Buffer): string {
  return readXattrs(path)
    .map(({ name, value }) => {
      const text = Buffer.from(name).toString('latin1')
      return `${text}=${Buffer.from(value).toString('hex')}`
    })
    .sort()
    .join(' ')
}

async function contentOf(path: Buffer, size: number): Promise<{ content: string; holes: string }> {
  await using file = await open(path, 'r')
  const ranges = [...dataRanges(file.fd, size)]
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size))
  for (const { start, end } of ranges) {
    for (let offset = start; offset < end;) {
      const length = Math.min(READ_BYTES - (offset % PIECE_BYTES), end - offset)
      const { bytesRead } = await file.read(buffer, 0, length, offset)
      if (bytesRead === 0) break
      hashPieces(hash, buffer.subarray(0, bytesRead), offset)
      offset += bytesRead
    }
  }
  return {
    content: hash.digest('hex'),
    holes: joined(ranges)
  }
}

/** Zeros count the same whether they are stored or a hole: that is the class `holes`. */
function hashPieces(hash: ReturnType<typeof createHash>, bytes: Buffer, offset: number): void {
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, start + PIECE_BYTES - ((offset + start) % PIECE_BYTES))
    const piece = bytes.subarray(start, end)
    if (!piece.equals(ZEROS.subarray(0, piece.length)))
      hash.update(`@${offset + start}:`).update(piece)
    start = end
  }
}

/** Ranges that touch are one. */
function joined(ranges: readonly { start: number; end: number }[]): string {
  const all: { start: number; end: number }[] = []
  for (const range of ranges) {
    const last = all.at(-1)
    if (last?.end === range.start) last.end = range.end
    else all.push({ ...range })
  }
  return all.map(({ start, end }) => `${start}-${end}`).join(' ')
}

/** Bytes that do not print on one line are shown as \xNN. */
export function printable(latin1: string): string {
  return latin1.replace(/[^\x21-\x5b\x5d-\x7e ]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}
