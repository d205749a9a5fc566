import type { EntryValue } from 'hyperdrive'
import { SYMLINK, type ColumnTree } from '../../image/tree/column-tree.ts'

/**
 * JSON of a file's or symlink's {@link EntryValue}, as `JSON.stringify` would write it: of a first version's
 * entries, which come by the ten thousand, making the values takes longer than all else.
 */
export function entryText(tree: ColumnTree, inode: number): string {
  const { type, mode, uid, gid, mtimeSeconds, mtimeNanoseconds } = tree.columns
  const bits = mode[inode]!
  const metadata =
    `"mode":${bits},"uid":${uid[inode]},"gid":${gid[inode]},` +
    `"mtime":[${mtimeSeconds[inode]},${mtimeNanoseconds[inode]}],"size":${tree.size(inode)}`
  if (type[inode] === SYMLINK) {
    const linkname = JSON.stringify(tree.symlinkTarget(inode).toString())
    return `{"executable":false,"linkname":${linkname},"blob":null,"metadata":{${metadata}}}`
  }
  const isExecutable = (bits & 0o111) !== 0
  const content = `"encoding":"dat-container-chunks","blocks":[${blockRuns(tree, inode)}]`
  return `{"executable":${isExecutable},"linkname":null,"blob":null,"metadata":{${metadata},${content}}}`
}

export function entryValue(tree: ColumnTree, inode: number): EntryValue {
  return JSON.parse(entryText(tree, inode)) as EntryValue
}

/**
 * Chunks that follow each other in the file and in the log: `[position of the first, its block, offset in
 * that, how many]` each.
 */
function blockRuns({ columns }: ColumnTree, inode: number): string {
  const { extentPosition, extentChunk, extentCount } = columns
  const { block, offset, storedBytes } = columns.chunks
  let runs = ''
  const first = columns.first[inode]!
  for (let extent = first; extent < first + columns.count[inode]!; extent++) {
    const chunk = extentChunk[extent]!
    const end = chunk + extentCount[extent]!
    for (let start = chunk; start < end;) {
      let at = start + 1
      while (at < end) {
        const isNext =
          block[at] === block[at - 1]
            ? offset[at] === offset[at - 1]! + storedBytes[at - 1]!
            : block[at] === block[at - 1]! + 1 && offset[at] === 0
        if (!isNext) break
        at++
      }
      const position = extentPosition[extent]! + start - chunk
      runs += `${runs === '' ? '' : ','}[${position},${block[start]},${offset[start]},${at - start}]`
      start = at
    }
  }
  return runs
}
