import type { Tree } from '../../image/tree/tree.ts'
import { BLOCK_BYTES, DIRENT_BYTES, DIRENT_TYPE } from './erofs-format.ts'

const DOT = Buffer.from('.')
const DOT_DOT = Buffer.from('..')

/** Size of a packed directory: `blocks` blocks, of which the last holds `tailBytes`. */
export interface DirectorySize {
  readonly blocks: number
  readonly tailBytes: number
}

interface Entry {
  readonly name: Uint8Array
  readonly inode: number
}

/** A directory's entries with `.` and `..`, sorted by name bytes, cut into what fits a block. */
function* blocksOf(tree: Tree, directory: number): Generator<Entry[]> {
  let block: Entry[] = []
  let bytes = 0
  for (const entry of entriesOf(tree, directory)) {
    const length = DIRENT_BYTES + entry.name.length
    if (bytes + length > BLOCK_BYTES) {
      yield block
      block = []
      bytes = 0
    }
    block.push(entry)
    bytes += length
  }
  yield block
}

function* entriesOf(tree: Tree, directory: number): Generator<Entry> {
  const special: Entry[] = [
    { name: DOT, inode: directory },
    { name: DOT_DOT, inode: tree.parent(directory) }
  ]
  const first = tree.firstEntry(directory)
  const end = first + tree.directoryEntryCount(directory)
  for (let entry = first; entry < end; entry++) {
    const name = tree.entryName(entry)
    while (special[0] !== undefined && Buffer.compare(special[0].name, name) < 0) {
      yield special[0]
      special.shift()
    }
    yield { name, inode: tree.entryInode(entry) }
  }
  yield* special
}

export function measureDirectory(tree: Tree, directory: number): DirectorySize {
  let blocks = 0
  let tailBytes = 0
  for (const block of blocksOf(tree, directory)) {
    blocks += 1
    tailBytes = 0
    for (const { name } of block) tailBytes += DIRENT_BYTES + name.length
  }
  return { blocks, tailBytes }
}

/**
 * Packs a directory block by block: an array of entries, then their names. The kernel searches by
 * halves over the first names of blocks, then within one.
 *
 * @param nids number of every inode in the image
 * @param take gives zeroed memory for the next block; the last is asked for with its used length
 */
export function encodeDirectory(
  tree: Tree,
  directory: number,
  nids: Uint32Array,
  take: (bytes: number, last: boolean) => Buffer
): void {
  const blocks = blocksOf(tree, directory)
  let current = blocks.next()
  while (current.done !== true) {
    const next = blocks.next()
    const last = next.done === true
    let used = 0
    for (const { name } of current.value) used += DIRENT_BYTES + name.length
    encodeBlock(tree, current.value, nids, take(last ? used : BLOCK_BYTES, last))
    current = next
  }
}

function encodeBlock(tree: Tree, entries: readonly Entry[], nids: Uint32Array, target: Buffer) {
  let dirent = 0
  let nameOffset = entries.length * DIRENT_BYTES
  for (const { name, inode } of entries) {
    target.writeUInt32LE(nids[inode] ?? 0, dirent)
    target.writeUInt16LE(nameOffset, dirent + 8)
    target.writeUInt8(DIRENT_TYPE[tree.type(inode)], dirent + 10)
    target.set(name, nameOffset)
    dirent += DIRENT_BYTES
    nameOffset += name.length
  }
}
