import { readdirSync, readlinkSync } from 'node:fs'
import { throwIfCancelled } from '../../core/cancel.ts'
import { ContainerError, isContainerError, systemErrorCode } from '../../core/errors.ts'
import { FileListBuilder, pathAt } from './file-list.ts'
import { typeOfMode } from '../tree/mode-type.ts'
import { mountPoints } from './mount-points.ts'
import { SourcePath } from './source-path.ts'
import { ioError } from './source-reader.ts'
import { StatusReader } from './status-reader.ts'
import { TreeBuilder } from '../tree/tree-builder.ts'
import { readXattrsAt } from './xattr.ts'
import type { IsIgnored } from './container-ignore.ts'
import type { FileList } from './file-list.ts'
import type { FileType, InodeAttributes, Xattr } from '../tree/tree.ts'

export interface ScanOptions {
  /** Leave the inside of mount points out, keeping the directories. @default false */
  readonly oneFileSystem?: boolean
  /** Directories inside the source whose content is left out, as paths, not patterns. */
  readonly emptied?: readonly string[]
  /**
   * Says of a directory below the source, by the names in it (latin1), that only it itself is taken.
   *
   * @param path from the source, latin1
   */
  readonly isEmptied?: (names: readonly string[], path: string) => boolean
  /** Says of paths that they are left out with all that is in them. */
  readonly isIgnored?: IsIgnored
  /**
   * Leave files' attributes to {@link DirectoryTreeScan.readXattrs}: of those that are known from before
   * they need not be read, and there may be many.
   */
  readonly xattrsLater?: boolean
  readonly signal?: AbortSignal
}

/** Scanning is synchronous; other work of the process gets its turn after so many names. */
const NAMES_A_TURN = 200

interface PendingDirectory {
  readonly inode: number
  /** Relative to the root; empty for the root. */
  readonly path: Buffer
}

/** Reads the metadata of everything below a directory. */
export class DirectoryTreeScan {
  /** All metadata so far; files have no content yet. */
  readonly builder: TreeBuilder
  /** `st_dev` of the directory. */
  readonly device: bigint
  /** Content bytes of all files so far, holes included. */
  bytes = 0
  readonly #files: FileListBuilder
  /** Files that {@link takeFiles} has given. */
  #taken = 0
  readonly #root: Buffer
  readonly #path: SourcePath
  readonly #signal: AbortSignal | undefined
  readonly #status = new StatusReader()
  readonly #oneFileSystem: boolean
  readonly #emptied: ReadonlySet<string>
  readonly #isEmptied: ScanOptions['isEmptied']
  readonly #isIgnored: IsIgnored | undefined
  readonly #xattrsLater: boolean
  /** Read when it is asked for. */
  #mountPoints: ReadonlySet<string> | undefined
  /** Inodes with several names, by device and inode number of the source. */
  readonly #hardlinks = new Map<string, number>()
  /** Directories still to be read, the next one last. */
  readonly #pending: PendingDirectory[]

  /**
   * @param root absolute path of a directory
   * @throws ContainerError `SOURCE_CHANGED` when it vanished, `IO`
   */
  constructor(root: Buffer, options: ScanOptions) {
    const { oneFileSystem = false, emptied = [], isIgnored, xattrsLater = false, signal } = options
    const path = new SourcePath(root)
    this.#path = path
    this.#signal = signal
    this.#readStatus()
    this.device = this.#status.device
    this.#oneFileSystem = oneFileSystem
    this.#isEmptied = options.isEmptied
    this.#isIgnored = isIgnored
    this.#xattrsLater = xattrsLater
    this.#root = root
    this.#emptied = new Set(emptied.map((path) => normalized(path)))
    this.builder = new TreeBuilder(this.#attributes('directory'))
    this.builder.setXattrs(0, readXattrsAt(path.terminated))
    this.#files = new FileListBuilder(root)
    this.#pending = [{ inode: 0, path: Buffer.alloc(0) }]
  }

  /**
   * Scans, once; some names before each time that it yields.
   *
   * @throws ContainerError `SOURCE_CHANGED` when something vanishes meanwhile, `IO`, `CANCELLED`
   */
  async *turns(): AsyncGenerator<void, void, undefined> {
    using _path = this.#path
    let sinceTurn = 0
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
      sinceTurn += this.#readDirectory(next)
      if (sinceTurn < NAMES_A_TURN) continue
      sinceTurn = 0
      yield
      await this.#giveWay()
    }
    throwIfCancelled(this.#signal)
    yield
  }

  /** How many files {@link takeFiles} would give. */
  get found(): number {
    return this.#files.length - this.#taken
  }

  /** The files that were found since the last time. */
  takeFiles(): FileList {
    const files = this.#files.since(this.#taken)
    this.#taken = this.#files.length
    return files
  }

  /**
   * Reads the attributes of files that were found, where they were left for later.
   *
   * @throws ContainerError `SOURCE_CHANGED` when one vanished, `IO`, `CANCELLED`
   */
  async readXattrs(files: FileList): Promise<void> {
    if (!this.#xattrsLater) return
    using path = new SourcePath(this.#root)
    for (let i = 0; i < files.length; i++) {
      if (i % NAMES_A_TURN === NAMES_A_TURN - 1) await this.#giveWay()
      path.enter(pathAt(files, i))
      this.builder.setXattrs(files.inode[i]!, xattrsOf(path))
    }
  }

  /** All files that were found. */
  allFiles(): FileList {
    return this.#files.finish()
  }

  /** @returns how many names there were */
  #readDirectory({ inode, path }: PendingDirectory): number {
    if (this.#emptied.size > 0 && this.#emptied.has(path.toString('latin1'))) return 0
    this.#path.enter(path)
    const source = this.#path
    const names = this.#names().sort()
    if (path.length > 0 && this.#isEmptied?.(names, path.toString('latin1')) === true) return 0
    const children: PendingDirectory[] = []
    for (const name of names) {
      source.name(name)
      this.#readStatus()
      const type = typeOfMode(this.#status.mode)
      const isDirectory = type === 'directory'
      if (this.#isIgnored?.(Buffer.from(source.relative), isDirectory)) continue
      const child = this.#add(type)
      if (child === undefined) continue
      this.builder.linkRange(inode, source.bytes, source.nameStart, source.end, child)
      if (isDirectory && !this.#isElsewhere()) {
        children.push({ inode: child, path: Buffer.from(source.relative) })
      }
    }
    for (const child of children.toReversed()) this.#pending.push(child)
    return names.length
  }

  /** @returns undefined for what is mounted from elsewhere */
  #add(type: FileType): number | undefined {
    const status = this.#status
    // Files of an overlay have devices of their own: those of its layers.
    if (type !== 'directory' && this.#isElsewhere() && this.#isMounted()) return undefined
    const identity =
      type !== 'directory' && status.linkCount > 1 ? `${status.device} ${status.inode}` : undefined
    const known = identity === undefined ? undefined : this.#hardlinks.get(identity)
    if (known !== undefined) return known
    const inode = this.builder.addInode(this.#attributes(type), {
      ...(type === 'file' && this.#xattrsLater ? {} : { xattrs: xattrsOf(this.#path) }),
      ...(type === 'symlink' ? { symlinkTarget: this.#target() } : {})
    })
    if (identity !== undefined) this.#hardlinks.set(identity, inode)
    if (type === 'file') {
      const { bytes, relativeStart, end } = this.#path
      this.#files.add(inode, bytes, relativeStart, end, status)
      this.bytes += status.size
    }
    return inode
  }

  /** Whether what was last looked at is left out, or its inside, by `--one-file-system`. */
  #isElsewhere(): boolean {
    return this.#oneFileSystem && this.#status.device !== this.device
  }

  #isMounted(): boolean {
    this.#mountPoints ??= mountPoints()
    return this.#mountPoints.has(this.#path.absolute.toString('latin1'))
  }

  #attributes(type: FileType): InodeAttributes {
    const status = this.#status
    const isDevice = type === 'character' || type === 'block'
    return {
      type,
      mode: status.mode & 0o7777,
      uid: status.uid,
      gid: status.gid,
      mtimeSeconds: status.mtimeSeconds,
      mtimeNanoseconds: status.mtimeNanoseconds,
      deviceMajor: isDevice ? status.deviceMajor : 0,
      deviceMinor: isDevice ? status.deviceMinor : 0
    }
  }

  #readStatus(): void {
    try {
      this.#status.read(this.#path.terminated)
    } catch (error) {
      throw scanError(this.#path.absolute, error)
    }
  }

  /** Text with one code unit per byte, in the same order: faster than buffers, each of which is an allocation. */
  #names(): string[] {
    return reached(this.#path, () => readdirSync(this.#path.reachable, { encoding: 'latin1' }))
  }

  #target(): Buffer {
    return reached(this.#path, () => readlinkSync(this.#path.reachable, { encoding: 'buffer' }))
  }

  async #giveWay(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    throwIfCancelled(this.#signal)
  }
}

function xattrsOf(path: SourcePath): Xattr[] {
  return readXattrsAt(reached(path, () => path.terminated))
}

function reached<T>(path: SourcePath, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw scanError(path.absolute, error)
  }
}

function scanError(path: Buffer, error: unknown): ContainerError {
  if (isContainerError(error)) return error
  if (!['ENOENT', 'ENOTDIR', 'EINVAL'].includes(systemErrorCode(error) ?? '')) {
    return ioError(path, error)
  }
  const message = `vanished while the source was read: ${path.toString()}`
  const hint = 'share a snapshot, or stop what writes to the source and try again'
  return new ContainerError('SOURCE_CHANGED', message, { hint, cause: error })
}

/** Paths compare as latin1 text, one unit a byte, whatever encoding the names have. */
function normalized(path: string): string {
  return Buffer.from(path.replace(/^\/+|\/+$/g, '')).toString('latin1')
}
