import { pathLookup } from './lookup-path.ts'
import { pathAt, statusAt, type FileList } from './file-list.ts'
import type { Tree } from './tree.ts'

/**
 * A file that was written in the same tick of its file system's clock as it was read may have changed
 * since without a trace, as git's index knows it ("racily clean"). Two seconds are the coarsest clock
 * in use, FAT's.
 */
const RACY_NANOSECONDS = 2_000_000_000n

/** A directory's files as stat(2) told of them, before any was read. */
export interface DirectoryScan {
  /** Real path. */
  readonly root: Uint8Array
  /** `st_dev` of the root. */
  readonly device: bigint
  /** When the scan began, nanoseconds since the epoch. */
  readonly startedNs: bigint
  readonly files: FileList
}

/**
 * What a publisher remembers of the files of a version that it published, besides what the version's
 * tree says. Row by row in order of inode.
 */
export interface FileRecords {
  /** Inodes of the version's tree. */
  readonly inode: Uint32Array
  /** Inode numbers of the source. */
  readonly number: BigUint64Array
  /** Nanoseconds since the epoch. */
  readonly ctimeNs: BigInt64Array
}

/** Records of those files of a scan that can be recognised next time. */
export function recordFiles({ files, device, startedNs }: DirectoryScan): FileRecords {
  const inode = new Uint32Array(files.length)
  const number = new BigUint64Array(files.length)
  const ctimeNs = new BigInt64Array(files.length)
  let count = 0
  for (let i = 0; i < files.length; i++) {
    const status = statusAt(files, i)
    const youngest = status.mtimeNs > status.ctimeNs ? status.mtimeNs : status.ctimeNs
    if (status.device !== device || youngest >= startedNs - RACY_NANOSECONDS) continue
    inode[count] = files.inode[i]!
    number[count] = status.inode
    ctimeNs[count] = status.ctimeNs
    count++
  }
  return {
    inode: inode.subarray(0, count),
    number: number.subarray(0, count),
    ctimeNs: ctimeNs.subarray(0, count)
  }
}

/**
 * Finds the files of a scan that are as they were when `tree` was published, and notes in the list
 * which inode of `tree` has their content.
 *
 * @param records of the publish that made `tree`, of the same directory
 * @returns how many there are
 */
export function markUnchanged(
  { files, device }: DirectoryScan,
  records: FileRecords,
  tree: Tree
): number {
  // Of each inode its row plus one.
  const rows = new Uint32Array(tree.inodeCount)
  for (let row = 0; row < records.inode.length; row++) rows[records.inode[row]!] = row + 1
  const lookup = pathLookup(tree)
  let unchanged = 0
  for (let i = 0; i < files.length; i++) {
    const inode = lookup(pathAt(files, i))
    if (inode === undefined || rows[inode] === 0 || tree.type(inode) !== 'file') continue
    const row = rows[inode]! - 1
    const status = statusAt(files, i)
    const { mtimeSeconds, mtimeNanoseconds } = tree.attributes(inode)
    const isSame =
      status.size === tree.size(inode) &&
      status.mtimeSeconds === mtimeSeconds &&
      status.mtimeNanoseconds === mtimeNanoseconds &&
      status.inode === records.number[row] &&
      BigInt.asIntN(64, status.ctimeNs) === records.ctimeNs[row] &&
      status.device === device
    if (!isSame) continue
    files.unchanged[i] = inode
    unchanged++
  }
  return unchanged
}
