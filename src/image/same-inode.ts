import { FILE, SYMLINK } from './column-tree.ts'
import type { ColumnTree } from './column-tree.ts'
import type { Extent } from './tree.ts'

/** An entry, or an inode, of a tree. */
export type Of = readonly [tree: ColumnTree, number: number]

/** Order of two entries' names, by bytes: negative where the first comes before. */
export function compareNames([a, entryA]: Of, [b, entryB]: Of): number {
  const from = a.columns
  const to = b.columns
  let i = from.nameStart[entryA]!
  let j = to.nameStart[entryB]!
  const endA = from.nameStart[entryA + 1]!
  const endB = to.nameStart[entryB + 1]!
  for (; i < endA && j < endB; i++, j++) {
    if (from.names[i] !== to.names[j]) return from.names[i]! - to.names[j]!
  }
  return endA - i - (endB - j)
}

/** Whether two inodes have the same type, attributes, size and target, and their content at the same places. */
export function areSame([a, inodeA]: Of, [b, inodeB]: Of): boolean {
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
  if (from.type[inodeA] === FILE) {
    return haveEqualExtents([a, inodeA], [b, inodeB]) || haveSamePlaces([a, inodeA], [b, inodeB])
  }
  return from.type[inodeA] !== SYMLINK || a.symlinkTarget(inodeA).equals(b.symlinkTarget(inodeB))
}

/** {@link haveSamePlaces} of files that are cut into the same extents, as most are. */
function haveEqualExtents([a, inodeA]: Of, [b, inodeB]: Of): boolean {
  const from = a.columns
  const to = b.columns
  const count = from.count[inodeA]!
  if (count !== to.count[inodeB]) return false
  for (let n = 0; n < count; n++) {
    const i = from.first[inodeA]! + n
    const j = to.first[inodeB]! + n
    const chunks = from.extentCount[i]!
    if (from.extentPosition[i] !== to.extentPosition[j] || chunks !== to.extentCount[j])
      return false
    for (let chunk = 0; chunk < chunks; chunk++) {
      if (!isSamePlace(a, from.extentChunk[i]! + chunk, b, to.extentChunk[j]! + chunk)) return false
    }
  }
  return true
}

/** Whether two files' chunks stand at the same places, however they are numbered. */
function haveSamePlaces([a, inodeA]: Of, [b, inodeB]: Of): boolean {
  const from = new ChunkCursor(a.extents(inodeA))
  const to = new ChunkCursor(b.extents(inodeB))
  for (; !from.isAtEnd && !to.isAtEnd; from.advance(), to.advance()) {
    if (from.position !== to.position || !isSamePlace(a, from.chunk, b, to.chunk)) return false
  }
  return from.isAtEnd && to.isAtEnd
}

/** Goes through a file's chunks one by one. */
class ChunkCursor {
  readonly #extents: readonly Extent[]
  #extent = 0
  #within = 0

  constructor(extents: readonly Extent[]) {
    this.#extents = extents
  }

  get isAtEnd(): boolean {
    return this.#extent === this.#extents.length
  }

  get position(): number {
    return this.#extents[this.#extent]!.position + this.#within
  }

  get chunk(): number {
    return this.#extents[this.#extent]!.chunk + this.#within
  }

  advance(): void {
    this.#within++
    if (this.#within < this.#extents[this.#extent]!.count) return
    this.#extent++
    this.#within = 0
  }
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
