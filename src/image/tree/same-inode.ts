import { compareBytes } from './compare-bytes.ts'
import { FILE, SYMLINK, type ColumnTree } from './column-tree.ts'

/** Order of the names of two entries, by bytes: negative where the first comes before. */
export function compareNames(a: ColumnTree, entryA: number, b: ColumnTree, entryB: number): number {
  const from = a.columns
  const to = b.columns
  return compareBytes(
    from.names,
    from.nameStart[entryA]!,
    from.nameStart[entryA + 1]!,
    to.names,
    to.nameStart[entryB]!,
    to.nameStart[entryB + 1]!
  )
}

/** Whether two inodes have the same type, attributes, size and target, and their content at the same places. */
export function areSame(a: ColumnTree, inodeA: number, b: ColumnTree, inodeB: number): boolean {
  const from = a.columns
  const to = b.columns
  const areAlike =
    from.type[inodeA] === to.type[inodeB] &&
    from.mode[inodeA] === to.mode[inodeB] &&
    from.uid[inodeA] === to.uid[inodeB] &&
    from.gid[inodeA] === to.gid[inodeB] &&
    from.mtimeSeconds[inodeA] === to.mtimeSeconds[inodeB] &&
    from.mtimeNanoseconds[inodeA] === to.mtimeNanoseconds[inodeB] &&
    from.size[inodeA] === to.size[inodeB]
  if (!areAlike) return false
  if (from.type[inodeA] === FILE) return haveSamePlaces(a, inodeA, b, inodeB)
  return from.type[inodeA] !== SYMLINK || a.symlinkTarget(inodeA).equals(b.symlinkTarget(inodeB))
}

/** Whether two files' chunks stand at the same places, however they are numbered and cut into extents. */
function haveSamePlaces(a: ColumnTree, inodeA: number, b: ColumnTree, inodeB: number): boolean {
  const from = a.columns
  const to = b.columns
  let i = from.first[inodeA]!
  let j = to.first[inodeB]!
  const endA = i + from.count[inodeA]!
  const endB = j + to.count[inodeB]!
  // Chunks of the extents that have gone by.
  let chunkA = 0
  let chunkB = 0
  while (i < endA && j < endB) {
    const isSame =
      from.extentPosition[i]! + chunkA === to.extentPosition[j]! + chunkB &&
      isSamePlace(a, from.extentChunk[i]! + chunkA, b, to.extentChunk[j]! + chunkB)
    if (!isSame) return false
    if (++chunkA === from.extentCount[i]) [i, chunkA] = [i + 1, 0]
    if (++chunkB === to.extentCount[j]) [j, chunkB] = [j + 1, 0]
  }
  return i === endA && j === endB
}

function isSamePlace(a: ColumnTree, chunkA: number, b: ColumnTree, chunkB: number): boolean {
  const from = a.chunks
  const to = b.chunks
  return (
    from.block[chunkA] === to.block[chunkB] &&
    from.offset[chunkA] === to.offset[chunkB] &&
    from.storedBytes[chunkA] === to.storedBytes[chunkB]
  )
}
