import { FILE, type ColumnTree } from '../tree/column-tree.ts'
import { FileListBuilder, statusAt, type FileList } from './file-list.ts'
import { FileStatus, STATUS_WORDS } from './file-status.ts'
import { wordColumn } from '../../core/growing-column.ts'
import { PathLookup } from '../tree/lookup-path.ts'

/**
 * A file that was written in the same tick of its file system's clock as it was read may have changed
 * since without a trace, as git's index knows it ("racily clean"). Two seconds are the coarsest clock
 * in use, FAT's.
 */
const RACY_MS = 2_000

/** A directory that is scanned. */
export interface ScannedDirectory {
  /** Real path. */
  readonly root: Uint8Array
  /** `st_dev` of the root. */
  readonly device: bigint
  /** When the scan began, milliseconds since the epoch. */
  readonly startedMs: number
}

/** A directory's files as stat(2) told of them, before any was read. */
export interface DirectoryScan extends ScannedDirectory {
  readonly files: FileList
}

/**
 * What a publisher remembers of the files of a version that it published, besides what the version's
 * tree says. Row by row in order of inode.
 */
export interface FileRecords {
  /** Inodes of the version's tree. */
  readonly inode: Uint32Array
  /** What stat(2) told of them: `STATUS_WORDS` each. */
  readonly statuses: Uint32Array
}

/** Records of those files of a scan that can be recognised next time. */
export function recordFiles({ files, device, startedMs }: DirectoryScan): FileRecords {
  const inode = wordColumn()
  const statuses = wordColumn()
  for (let i = 0; i < files.length; i++) {
    const status = statusAt(files, i)
    const youngestMs = Math.max(status.mtimeMs, status.ctimeMs)
    if (status.device !== device || youngestMs >= startedMs - RACY_MS) continue
    inode.push(files.inode[i]!)
    status.pushTo(statuses)
  }
  return { inode: inode.view(), statuses: statuses.view() }
}

/** Files of a scan that are as they were when a version was published, as they are recognised. */
export class UnchangedFiles {
  /** The version's tree. */
  readonly tree: ColumnTree
  readonly #records: FileRecords
  /** By inode of the tree: its row of the records plus one. */
  readonly #rows: Uint32Array
  readonly #lookup: PathLookup
  readonly #inode = wordColumn()
  readonly #previous = wordColumn()

  /**
   * @param records of the publish that made `tree`, of the same directory
   */
  constructor(records: FileRecords, tree: ColumnTree) {
    this.tree = tree
    this.#records = records
    this.#rows = new Uint32Array(tree.inodeCount)
    for (let row = 0; row < records.inode.length; row++) this.#rows[records.inode[row]!] = row + 1
    this.#lookup = new PathLookup(tree)
  }

  /** How many there are. */
  get length(): number {
    return this.#inode.length
  }

  /** Inode of the scan. @param n counts them, in order of these */
  inode(n: number): number {
    return this.#inode.get(n)
  }

  /** Inode of {@link tree} that has its content and attributes. */
  previous(n: number): number {
    return this.#previous.get(n)
  }

  /**
   * Takes from the files that a scan found next those that are as they were.
   *
   * @returns the others, which are to be read
   */
  takeFrom(files: FileList): FileList {
    const others = new FileListBuilder(files.root)
    for (let i = 0; i < files.length; i++) {
      const status = statusAt(files, i)
      const [start, end] = [files.pathStart[i]!, files.pathStart[i + 1]!]
      const previous = this.#lookup.find(files.paths, start, end)
      if (previous === undefined || !this.#isUnchanged(status, previous)) {
        others.add(files.inode[i]!, files.paths, start, end, status)
        continue
      }
      this.#inode.push(files.inode[i]!)
      this.#previous.push(previous)
    }
    return others.finish()
  }

  #isUnchanged(status: FileStatus, previous: number): boolean {
    const row = this.#rows[previous]!
    if (row === 0 || this.tree.columns.type[previous] !== FILE) return false
    return status.equals(new FileStatus(this.#records.statuses, (row - 1) * STATUS_WORDS))
  }
}
