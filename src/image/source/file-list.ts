import { FileStatus, STATUS_WORDS } from './file-status.ts'
import { bytesColumn, wordColumn } from '../../core/growing-column.ts'

/** Regular files still to be read; plain typed arrays, so that posting it to a thread is a copy. */
export interface FileList {
  readonly length: number
  /** Absolute path of the directory the paths are relative to. */
  readonly root: Uint8Array
  readonly inode: Uint32Array
  /** File `i` has path `paths[pathStart[i], pathStart[i + 1])`. */
  readonly paths: Uint8Array
  readonly pathStart: Uint32Array
  /** `STATUS_WORDS` a file, of when it was scanned. */
  readonly statuses: Uint32Array
}

/** What stat(2) told of file `i` when it was scanned. */
export function statusAt({ statuses }: Pick<FileList, 'statuses'>, i: number): FileStatus {
  return new FileStatus(statuses, i * STATUS_WORDS)
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
  readonly #statuses = wordColumn()

  constructor(root: Uint8Array) {
    this.#root = root
    this.#pathStart.push(0)
  }

  /** @param paths has the file's, relative to the root, in `[start, end)` */
  add(inode: number, paths: Uint8Array, start: number, end: number, status: FileStatus): void {
    status.pushTo(this.#statuses)
    this.#inode.push(inode)
    this.#paths.pushRange(paths, start, end)
    this.#pathStart.push(this.#paths.length)
  }

  get length(): number {
    return this.#inode.length
  }

  /** A copy of the files from number `first` on, with memory of its own: posting a view posts all that is behind it. */
  since(first: number): FileList {
    const starts = this.#pathStart.view().slice(first)
    const [start = 0] = starts
    return {
      length: this.length - first,
      root: this.#root,
      inode: this.#inode.view().slice(first),
      // A Buffer's own `slice` would be a view.
      paths: Uint8Array.from(this.#paths.view().subarray(start)),
      pathStart: starts.map((path) => path - start),
      statuses: this.#statuses.view().slice(first * STATUS_WORDS)
    }
  }

  finish(): FileList {
    return {
      length: this.#inode.length,
      root: this.#root,
      inode: this.#inode.view(),
      paths: this.#paths.view(),
      pathStart: this.#pathStart.view(),
      statuses: this.#statuses.view()
    }
  }
}
