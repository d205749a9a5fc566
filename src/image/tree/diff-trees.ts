import { CHUNK_HASH_BYTES } from './content-batch.ts'
import type { Extent, Tree } from './tree.ts'

/** A version of an image, as far as comparing goes. */
export interface ComparedTree {
  readonly tree: Tree
  /** {@link CHUNK_HASH_BYTES} a chunk, in order of number. */
  readonly chunkHashes: Uint8Array
}

/** What can be told apart about one name. */
export type Aspect =
  'type' | 'content' | 'target' | 'device' | 'mode' | 'owner' | 'mtime' | 'xattrs' | 'links'

export interface TreeChange {
  /** Without a leading slash; empty for the root. */
  readonly path: Buffer
  readonly change: 'added' | 'removed' | 'changed'
  /** What differs; empty for what was added or removed. */
  readonly what: readonly Aspect[]
}

interface Pair {
  readonly path: Buffer
  readonly from: number | undefined
  readonly to: number | undefined
}

const SLASH = Buffer.from('/')

/**
 * What is different in `to`, name by name, depth first and in byte order. Content is compared by the
 * hashes of its chunks: none of it is read.
 */
export function* diffTrees(
  from: ComparedTree,
  to: ComparedTree
): Generator<TreeChange, void, undefined> {
  const pending: Pair[] = [{ path: Buffer.alloc(0), from: 0, to: 0 }]
  for (let pair = pending.pop(); pair !== undefined; pair = pending.pop()) {
    const { path } = pair
    if (pair.from === undefined) yield { path, change: 'added', what: [] }
    else if (pair.to === undefined) yield { path, change: 'removed', what: [] }
    else {
      const what = differences(from, pair.from, to, pair.to)
      if (what.length > 0) yield { path, change: 'changed', what }
    }
    const children = [...pairs(from.tree, to.tree, pair)]
    for (const child of children.toReversed()) pending.push(child)
  }
}

/** The names in either directory, in byte order; what is no directory has none. */
function* pairs(from: Tree, to: Tree, { path, ...inodes }: Pair): Generator<Pair> {
  const a = new Names(from, inodes.from)
  const b = new Names(to, inodes.to)
  const prefix = path.length === 0 ? path : Buffer.concat([path, SLASH])
  while (!a.isDone || !b.isDone) {
    const order = a.isDone ? 1 : b.isDone ? -1 : Buffer.compare(a.name, b.name)
    const name = order <= 0 ? a.name : b.name
    const pair = {
      path: Buffer.concat([prefix, name]),
      from: order <= 0 ? a.inode : undefined,
      to: order >= 0 ? b.inode : undefined
    }
    if (order <= 0) a.next()
    if (order >= 0) b.next()
    yield pair
  }
}

/** A place among the names of a directory. */
class Names {
  readonly #tree: Tree
  readonly #end: number
  #entry: number

  constructor(tree: Tree, inode: number | undefined) {
    const isDirectory = inode !== undefined && tree.type(inode) === 'directory'
    this.#tree = tree
    this.#entry = isDirectory ? tree.firstEntry(inode) : 0
    this.#end = isDirectory ? this.#entry + tree.directoryEntryCount(inode) : 0
  }

  get isDone(): boolean {
    return this.#entry >= this.#end
  }

  get name(): Uint8Array {
    return this.#tree.entryName(this.#entry)
  }

  get inode(): number {
    return this.#tree.entryInode(this.#entry)
  }

  next(): void {
    this.#entry++
  }
}

function differences(from: ComparedTree, a: number, to: ComparedTree, b: number): Aspect[] {
  const old = from.tree.attributes(a)
  const now = to.tree.attributes(b)
  const isSameType = old.type === now.type
  const differs: Readonly<Record<Aspect, boolean>> = {
    type: !isSameType,
    content: isSameType && old.type === 'file' && !isSameContent(from, a, to, b),
    target:
      isSameType && Buffer.compare(from.tree.symlinkTarget(a), to.tree.symlinkTarget(b)) !== 0,
    device:
      isSameType && (old.deviceMajor !== now.deviceMajor || old.deviceMinor !== now.deviceMinor),
    mode: old.mode !== now.mode,
    owner: old.uid !== now.uid || old.gid !== now.gid,
    mtime: old.mtimeSeconds !== now.mtimeSeconds || old.mtimeNanoseconds !== now.mtimeNanoseconds,
    xattrs: xattrText(from.tree, a) !== xattrText(to.tree, b),
    // A directory's links only count what is in it.
    links: isSameType && old.type !== 'directory' && from.tree.linkCount(a) !== to.tree.linkCount(b)
  }
  return (Object.keys(differs) as Aspect[]).filter((aspect) => differs[aspect])
}

function isSameContent(from: ComparedTree, a: number, to: ComparedTree, b: number): boolean {
  if (from.tree.size(a) !== to.tree.size(b)) return false
  const old = chunksOf(from.tree.extents(a))
  const now = chunksOf(to.tree.extents(b))
  for (;;) {
    const x = old.next()
    const y = now.next()
    if (x.done || y.done) return x.done === y.done
    if (x.value.position !== y.value.position) return false
    if (!hashOf(from, x.value.chunk).equals(hashOf(to, y.value.chunk))) return false
  }
}

function* chunksOf(
  extents: readonly Extent[]
): Generator<{ position: number; chunk: number }, undefined, undefined> {
  for (const { position, chunk, count } of extents) {
    for (let i = 0; i < count; i++) yield { position: position + i, chunk: chunk + i }
  }
}

function hashOf({ chunkHashes }: ComparedTree, chunk: number): Buffer {
  const start = chunk * CHUNK_HASH_BYTES
  return Buffer.from(chunkHashes.subarray(start, start + CHUNK_HASH_BYTES))
}

function xattrText(tree: Tree, inode: number): string {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
  return tree
    .xattrs(inode)
    .map(({ name, value }) => `${hex(name)}=${hex(value)}`)
    .join()
}
