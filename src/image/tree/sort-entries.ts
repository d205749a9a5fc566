import { compareBytes } from './compare-bytes.ts'
import { DIRECTORY } from './column-tree.ts'

/** Directory entries as they were added: entry `e` is named `names[nameStart[e], nameStart[e + 1])`. */
export interface UnsortedEntries {
  readonly directory: Uint32Array
  readonly inode: Uint32Array
  readonly nameStart: Uint32Array
  readonly names: Buffer
}

export type SortedEntries = Omit<UnsortedEntries, 'directory'>

/**
 * Groups entries by directory, in order of directory number, and sorts each group by name bytes.
 * Fills in every directory's `first` and `count`.
 */
export function sortEntries(
  entries: UnsortedEntries,
  inodes: { type: Uint8Array; first: Uint32Array; count: Uint32Array }
): SortedEntries {
  const order = groupByDirectory(entries, inodes)
  const { names, nameStart } = entries
  const compare = (a: number, b: number): number =>
    compareBytes(names, nameStart[a]!, nameStart[a + 1]!, names, nameStart[b]!, nameStart[b + 1]!)
  for (let inode = 0; inode < inodes.type.length; inode++) {
    if (inodes.type[inode] !== DIRECTORY) continue
    const first = inodes.first[inode]!
    const group = order.subarray(first, first + inodes.count[inode]!)
    // Publishers mostly add names in order, and checking costs less than sorting.
    if (!isSorted(group, compare)) group.sort(compare)
  }
  return gather(entries, order)
}

/** A counting sort. */
function groupByDirectory(
  { directory }: UnsortedEntries,
  { type, first, count }: { type: Uint8Array; first: Uint32Array; count: Uint32Array }
): Uint32Array {
  for (const parent of directory) count[parent]!++
  let next = 0
  for (let inode = 0; inode < type.length; inode++) {
    if (type[inode] !== DIRECTORY) continue
    first[inode] = next
    next += count[inode]!
  }
  const order = new Uint32Array(directory.length)
  const position = first.slice()
  for (let entry = 0; entry < directory.length; entry++) {
    order[position[directory[entry]!]!++] = entry
  }
  return order
}

function isSorted(group: Uint32Array, compare: (a: number, b: number) => number): boolean {
  for (let i = 1; i < group.length; i++) {
    if (compare(group[i - 1]!, group[i]!) > 0) return false
  }
  return true
}

function gather(entries: UnsortedEntries, order: Uint32Array): SortedEntries {
  const inode = new Uint32Array(order.length)
  const nameStart = new Uint32Array(order.length + 1)
  const names = Buffer.allocUnsafe(entries.names.length)
  let end = 0
  for (let i = 0; i < order.length;) {
    const start = entries.nameStart[order[i]!]!
    const moved = end - start
    // Names that stay side by side, as most of a directory do, are copied together.
    let entry = order[i]!
    do {
      inode[i] = entries.inode[entry]!
      nameStart[i] = entries.nameStart[entry]! + moved
      entry++
    } while (order[++i] === entry)
    end += entries.names.copy(names, end, start, entries.nameStart[entry])
  }
  nameStart[order.length] = end
  return { inode, nameStart, names }
}
