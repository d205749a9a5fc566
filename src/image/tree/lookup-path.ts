import { compareBytes } from './compare-bytes.ts'
import { DIRECTORY, type ColumnTree } from './column-tree.ts'
import type { Tree } from './tree.ts'

const SLASH = 0x2f

/**
 * {@link lookupPath} of many paths: one directory's, asked for one after the other, cost one lookup each,
 * and in order of their names less than that.
 */
export class PathLookup {
  readonly #tree: ColumnTree
  /** Directory part of the last path, `#bytes[#start, #end)`. */
  #bytes: Uint8Array = new Uint8Array(0)
  #start = 0
  #end = 0
  /** The directory, where there is one; the root at first. */
  #directory: number | undefined = 0
  /** Entry behind the one that was found last. */
  #next: number

  constructor(tree: ColumnTree) {
    this.#tree = tree
    this.#next = tree.firstEntry(0)
  }

  /** Inode of the path `bytes[start, end)`. */
  find(bytes: Uint8Array, start: number, end: number): number | undefined {
    let slash = end - 1
    while (slash > start && bytes[slash] !== SLASH) slash--
    this.#enter(bytes, start, slash)
    if (this.#directory === undefined) return undefined
    const nameStart = slash === start ? start : slash + 1
    const entry = this.#findEntry(this.#directory, bytes, nameStart, end)
    if (entry === undefined) return undefined
    this.#next = entry + 1
    return this.#tree.columns.entryInode[entry]
  }

  #enter(bytes: Uint8Array, start: number, end: number): void {
    if (compareBytes(this.#bytes, this.#start, this.#end, bytes, start, end) === 0) return
    this.#bytes = bytes
    this.#start = start
    this.#end = end
    const inode = end === start ? 0 : lookupPath(this.#tree, bytes.subarray(start, end))
    const isDirectory = inode !== undefined && this.#tree.columns.type[inode] === DIRECTORY
    this.#directory = isDirectory ? inode : undefined
    this.#next = isDirectory ? this.#tree.firstEntry(inode) : 0
  }

  #findEntry(directory: number, bytes: Uint8Array, start: number, end: number): number | undefined {
    const { first, count, names, nameStart } = this.#tree.columns
    const next = this.#next
    const isNext =
      next < first[directory]! + count[directory]! &&
      compareBytes(names, nameStart[next]!, nameStart[next + 1]!, bytes, start, end) === 0
    return isNext ? next : this.#tree.findEntry(directory, bytes.subarray(start, end))
  }
}

/** The inode of a path relative to the root whose names are taken as they are: no symlink is followed. */
export function lookupPath(tree: Tree, path: Uint8Array): number | undefined {
  let inode = 0
  let start = 0
  while (start <= path.length) {
    const slash = path.indexOf(SLASH, start)
    const end = slash === -1 ? path.length : slash
    if (tree.type(inode) !== 'directory') return undefined
    const child = tree.lookup(inode, path.subarray(start, end))
    if (child === undefined) return undefined
    inode = child
    start = end + 1
  }
  return inode
}
