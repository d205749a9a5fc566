import { lstatSync, readdirSync, readlinkSync } from 'node:fs'
import { throwIfCancelled } from './cancel.ts'
import { ContainerError, systemErrorCode } from './errors.ts'
import { FileListBuilder } from './file-list.ts'
import { LongPaths } from './long-paths.ts'
import { ioError } from './source-reader.ts'
import { TreeBuilder } from './tree-builder.ts'
import { readXattrs } from './xattr.ts'
import type { BigIntStats } from 'node:fs'
import type { IsIgnored } from './container-ignore.ts'
import type { FileList } from './file-list.ts'
import type { FileType, InodeAttributes } from './tree.ts'

export interface ScanOptions {
  /** Leave the inside of mount points out, keeping the directories. @default false */
  readonly oneFileSystem?: boolean
  /**
   * Paths inside the source to leave out with all that is in them. `path/*` keeps the directory and
   * leaves out what is in it.
   */
  readonly exclude?: readonly string[]
  /** Says of further paths that they are left out. */
  readonly isIgnored?: IsIgnored
  readonly signal?: AbortSignal
}

export interface ScannedTree {
  /** All metadata; files have no content yet. */
  readonly builder: TreeBuilder
  readonly files: FileList
  /** Content bytes of all files, holes included. */
  readonly bytes: number
  /** `st_dev` of the directory. */
  readonly device: bigint
}

const SLASH = Buffer.from('/')
const NANOSECONDS = 1_000_000_000n
/** Scanning is synchronous; other work of the process gets its turn after so many names. */
const NAMES_A_TURN = 2000

/**
 * Reads the metadata of everything below a directory.
 *
 * @param root absolute path of a directory
 * @throws ContainerError `SOURCE_CHANGED` when something vanishes meanwhile, `IO`, `CANCELLED`
 */
export async function scanTree(root: Buffer, options: ScanOptions): Promise<ScannedTree> {
  using paths = new LongPaths()
  const scan = new Scan(root, options, paths)
  let sinceTurn = 0
  for (let directory = scan.next(); directory !== undefined; directory = scan.next()) {
    sinceTurn += scan.readDirectory(directory)
    if (sinceTurn < NAMES_A_TURN) continue
    sinceTurn = 0
    await new Promise((resolve) => setImmediate(resolve))
    throwIfCancelled(options.signal)
  }
  throwIfCancelled(options.signal)
  const { builder, files, bytes, device } = scan
  return { builder, files: files.finish(), bytes, device }
}

interface PendingDirectory {
  readonly inode: number
  /** Relative to the root; empty for the root. */
  readonly path: Buffer
}

class Scan {
  readonly builder: TreeBuilder
  readonly files: FileListBuilder
  readonly device: bigint
  bytes = 0
  readonly #root: Buffer
  readonly #paths: LongPaths
  readonly #oneFileSystem: boolean
  readonly #excluded: ReadonlySet<string>
  readonly #isIgnored: IsIgnored | undefined
  /** Inodes with several names, by device and inode number of the source. */
  readonly #hardlinks = new Map<string, number>()
  /** Directories still to be read, the next one last. */
  readonly #pending: PendingDirectory[]

  constructor(
    root: Buffer,
    { oneFileSystem = false, exclude = [], isIgnored }: ScanOptions,
    paths: LongPaths
  ) {
    this.#paths = paths
    const status = this.#status(root)
    this.#root = root
    this.device = status.dev
    this.#oneFileSystem = oneFileSystem
    this.#isIgnored = isIgnored
    this.#excluded = new Set(exclude.map((path) => normalized(path)))
    this.builder = new TreeBuilder(attributesOf(status, 'directory'))
    this.builder.setXattrs(0, readXattrs(root))
    this.files = new FileListBuilder(root)
    this.#pending = [{ inode: 0, path: Buffer.alloc(0) }]
  }

  next(): PendingDirectory | undefined {
    return this.#pending.pop()
  }

  /** @returns how many names there were */
  readDirectory({ inode, path }: PendingDirectory): number {
    if (this.#isExcluded(path, '/*')) return 0
    const names = this.#names(this.#absolute(path)).sort((a, b) => a.compare(b))
    const children: PendingDirectory[] = []
    for (const name of names) {
      const childPath = path.length === 0 ? name : Buffer.concat([path, SLASH, name])
      if (this.#isExcluded(childPath, '')) continue
      const status = this.#status(this.#absolute(childPath))
      if (this.#isIgnored?.(childPath, status.isDirectory())) continue
      const child = this.#add(childPath, status)
      if (child === undefined) continue
      this.builder.link(inode, name, child)
      if (status.isDirectory() && (!this.#oneFileSystem || status.dev === this.device)) {
        children.push({ inode: child, path: childPath })
      }
    }
    for (const child of children.toReversed()) this.#pending.push(child)
    return names.length
  }

  /** @returns undefined for what belongs to another filesystem */
  #add(path: Buffer, status: BigIntStats): number | undefined {
    const type = typeOf(status)
    const isElsewhere = this.#oneFileSystem && status.dev !== this.device
    if (isElsewhere && type !== 'directory') return undefined
    const key = `${status.dev} ${status.ino}`
    if (type !== 'directory' && status.nlink > 1n) {
      const known = this.#hardlinks.get(key)
      if (known !== undefined) return known
    }
    const absolute = this.#absolute(path)
    const inode = this.builder.addInode(attributesOf(status, type), {
      xattrs: readXattrs(scanned(absolute, () => this.#paths.reach(absolute))),
      ...(type === 'symlink' ? { symlinkTarget: this.#target(absolute) } : {})
    })
    if (type !== 'directory' && status.nlink > 1n) this.#hardlinks.set(key, inode)
    if (type === 'file') {
      this.files.add(inode, path, status)
      this.bytes += Number(status.size)
    }
    return inode
  }

  #absolute(path: Buffer): Buffer {
    return path.length === 0 ? this.#root : Buffer.concat([this.#root, SLASH, path])
  }

  #isExcluded(path: Buffer, suffix: string): boolean {
    return this.#excluded.size > 0 && this.#excluded.has(path.toString('latin1') + suffix)
  }

  #status(path: Buffer): BigIntStats {
    return scanned(path, () => lstatSync(this.#paths.reach(path), { bigint: true }))
  }

  #names(path: Buffer): Buffer[] {
    return scanned(path, () => readdirSync(this.#paths.reach(path), { encoding: 'buffer' }))
  }

  #target(path: Buffer): Buffer {
    return scanned(path, () => readlinkSync(this.#paths.reach(path), { encoding: 'buffer' }))
  }
}

function scanned<T>(path: Buffer, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR', 'EINVAL'].includes(systemErrorCode(error) ?? '')) {
      throw ioError(path, error)
    }
    const message = `vanished while the source was read: ${path.toString()}`
    const hint = 'share a snapshot, or stop what writes to the source and try again'
    throw new ContainerError('SOURCE_CHANGED', message, { hint, cause: error })
  }
}

/** Paths compare as latin1 text, one unit a byte, whatever encoding the names have. */
function normalized(path: string): string {
  return Buffer.from(path.replace(/^\/+|\/+$/g, '')).toString('latin1')
}

function typeOf(status: BigIntStats): FileType {
  if (status.isFile()) return 'file'
  if (status.isDirectory()) return 'directory'
  if (status.isSymbolicLink()) return 'symlink'
  if (status.isFIFO()) return 'fifo'
  if (status.isSocket()) return 'socket'
  return status.isCharacterDevice() ? 'character' : 'block'
}

function attributesOf(status: BigIntStats, type: FileType): InodeAttributes {
  const isDevice = type === 'character' || type === 'block'
  const nanoseconds = ((status.mtimeNs % NANOSECONDS) + NANOSECONDS) % NANOSECONDS
  return {
    type,
    mode: Number(status.mode) & 0o7777,
    uid: Number(status.uid),
    gid: Number(status.gid),
    mtimeSeconds: Number((status.mtimeNs - nanoseconds) / NANOSECONDS),
    mtimeNanoseconds: Number(nanoseconds),
    deviceMajor: isDevice ? deviceMajor(status.rdev) : 0,
    deviceMinor: isDevice ? deviceMinor(status.rdev) : 0
  }
}

/** @see gnu_dev_major(3): the 64-bit dev_t of user space has the major in bits 8–19 and 32–63 */
function deviceMajor(device: bigint): number {
  return Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xffff_f000n))
}

function deviceMinor(device: bigint): number {
  return Number((device & 0xffn) | ((device >> 12n) & 0xffff_ff00n))
}
