import { bytesColumn, wordColumn } from './growing-column.ts'

/** Regular files still to be read; plain typed arrays, so that posting it to a thread is a copy. */
export interface FileList {
  readonly length: number
  /** Absolute path of the directory the paths are relative to. */
  readonly root: Uint8Array
  readonly inode: Uint32Array
  /** File `i` has path `paths[pathStart[i], pathStart[i + 1])`. */
  readonly paths: Uint8Array
  readonly pathStart: Uint32Array
  /** What {@link statusAt} reads, of when the file was scanned. */
  readonly statuses: BigInt64Array
  /**
   * Inode of the previous version that has the file's content, for files that need not be read; 0,
   * which is a directory everywhere, for the others.
   */
  readonly unchanged: Uint32Array
}

/** The fields of a bigint stat that change when a file does. */
export interface FileStatus {
  readonly dev: bigint
  readonly ino: bigint
  readonly size: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

const STATUS_FIELDS = 5
const MIN_FILES = 64

/** Times beyond the year 2262 do not fit: two such that are 2⁶⁴ ns apart are taken for one. */
const inSixtyFourBits = (nanoseconds: bigint): bigint => BigInt.asIntN(64, nanoseconds)

/** What stat(2) told of file `i` when it was scanned; times in 64 bits. */
export function statusAt({ statuses }: Pick<FileList, 'statuses'>, i: number): FileStatus {
  const at = i * STATUS_FIELDS
  return {
    dev: BigInt.asUintN(64, statuses[at]!),
    ino: BigInt.asUintN(64, statuses[at + 1]!),
    size: statuses[at + 2]!,
    mtimeNs: statuses[at + 3]!,
    ctimeNs: statuses[at + 4]!
  }
}

/** Whether a file is the same and unchanged, as far as stat(2) can tell. */
export function isSameStatus(a: FileStatus, b: FileStatus): boolean {
  return (
    a.dev === b.dev &&
    a.ino === b.ino &&
    a.size === b.size &&
    inSixtyFourBits(a.mtimeNs) === inSixtyFourBits(b.mtimeNs) &&
    inSixtyFourBits(a.ctimeNs) === inSixtyFourBits(b.ctimeNs)
  )
}

/** Those of a list that are not marked as unchanged. */
export function filesToRead(files: FileList): FileList {
  if (files.unchanged.every((previous) => previous === 0)) return files
  const changed = new FileListBuilder(files.root)
  for (let i = 0; i < files.length; i++) {
    if (files.unchanged[i] === 0) changed.add(files.inode[i]!, pathAt(files, i), statusAt(files, i))
  }
  return changed.finish()
}

/** Path of file `i`, relative to the root. */
export function pathAt({ paths, pathStart }: FileList, i: number): Uint8Array {
  return paths.subarray(pathStart[i], pathStart[i + 1])
}

export class FileListBuilder {
  readonly #root: Uint8Array
  readonly #inode = wordColumn()
  readonly #paths = bytesColumn()
  readonly #pathStart = wordColumn()
  #statuses = new BigInt64Array(MIN_FILES * STATUS_FIELDS)

  constructor(root: Uint8Array) {
    this.#root = root
    this.#pathStart.push(0)
  }

  add(inode: number, path: Uint8Array, status: FileStatus): void {
    this.#setStatus(this.#inode.length, status)
    this.#inode.push(inode)
    this.#paths.pushAll(path)
    this.#pathStart.push(this.#paths.length)
  }

  finish(): FileList {
    return {
      length: this.#inode.length,
      root: this.#root,
      inode: this.#inode.view(),
      paths: this.#paths.view(),
      pathStart: this.#pathStart.view(),
      statuses: this.#statuses.subarray(0, this.#inode.length * STATUS_FIELDS),
      unchanged: new Uint32Array(this.#inode.length)
    }
  }

  #setStatus(i: number, { dev, ino, size, mtimeNs, ctimeNs }: FileStatus): void {
    const at = i * STATUS_FIELDS
    if (at === this.#statuses.length) {
      const grown = new BigInt64Array(at * 2)
      grown.set(this.#statuses)
      this.#statuses = grown
    }
    this.#statuses[at] = dev
    this.#statuses[at + 1] = ino
    this.#statuses[at + 2] = size
    this.#statuses[at + 3] = mtimeNs
    this.#statuses[at + 4] = ctimeNs
  }
}
