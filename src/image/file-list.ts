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
  /** What `identityOf` said when the file was scanned, in ASCII. */
  readonly identities: Uint8Array
  readonly identityStart: Uint32Array
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

/** Text that is equal for equal files, as far as stat(2) can tell. */
export function identityOf({ dev, ino, size, mtimeNs, ctimeNs }: FileStatus): string {
  return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`
}

export class FileListBuilder {
  readonly #root: Uint8Array
  readonly #inode = wordColumn()
  readonly #paths = bytesColumn()
  readonly #pathStart = wordColumn()
  readonly #identities = bytesColumn()
  readonly #identityStart = wordColumn()

  constructor(root: Uint8Array) {
    this.#root = root
    this.#pathStart.push(0)
    this.#identityStart.push(0)
  }

  add(inode: number, path: Uint8Array, status: FileStatus): void {
    this.#inode.push(inode)
    this.#paths.pushAll(path)
    this.#pathStart.push(this.#paths.length)
    this.#identities.pushAll(Buffer.from(identityOf(status), 'latin1'))
    this.#identityStart.push(this.#identities.length)
  }

  finish(): FileList {
    return {
      length: this.#inode.length,
      root: this.#root,
      inode: this.#inode.view(),
      paths: this.#paths.view(),
      pathStart: this.#pathStart.view(),
      identities: this.#identities.view(),
      identityStart: this.#identityStart.view(),
      unchanged: new Uint32Array(this.#inode.length)
    }
  }
}
