import {
  data as leafHash,
  discoveryKey,
  parent as hashAbove,
  tree as rootHash
} from 'hypercore-crypto'
import type HypercoreStorage from 'hypercore-storage'
import type { LogStorage, TreeNode } from 'hypercore-storage'
import { pathTo } from './merkle-path-lookup.ts'

const BITS_PER_PAGE = 32_768
/** How many bytes of blocks are copied in one batch. */
const BATCH_BYTES = 4 * 1024 * 1024

/** What of a log could be read. */
export interface Salvaged {
  /** Blocks that were there as far as the store tells. */
  readonly held: number
  /** How many of them are whole and can be proven to others. */
  readonly whole: number
  readonly length: number
}

/**
 * Goes through what a damaged store has of one log, and copies what is whole into another store.
 *
 * @param to undefined only looks
 * @returns undefined where not even the log's end can be read, so that nothing of it is of use
 */
export async function salvageLog(
  from: HypercoreStorage,
  to: HypercoreStorage | undefined,
  key: Buffer
): Promise<Salvaged | undefined> {
  const log = await orUndefined(from.resumeCore(discoveryKey(key)))
  if (!log) return undefined
  try {
    const [auth, head] = await Promise.all([
      orUndefined(one(log, (read) => read.getAuth())),
      orUndefined(one(log, (read) => read.getHead()))
    ])
    if (!auth || !head) return undefined
    const { length } = head
    const { held, blocks, leaves } = await readLeaves(log, length)
    const nodes = await readNodes(log, length, leaves)
    const roots = rootsOf(length).map((index) => nodes.get(index))
    if (roots.includes(undefined)) return undefined
    if (length > 0 && !rootHash(roots as TreeNode[]).equals(head.rootHash)) return undefined
    const whole = blocks.filter((block) => isProvable(nodes, block, length))
    if (to) {
      const made = await to.createCore({ ...auth, discoveryKey: discoveryKey(key) })
      try {
        await copy(log, made, { head, nodes, whole })
      } finally {
        await made.close()
      }
    }
    return { held, whole: whole.length, length }
  } finally {
    await log.close()
  }
}

/** Blocks that read back, and the leaves that they make. */
async function readLeaves(log: LogStorage, length: number) {
  const blocks: number[] = []
  const leaves = new Map<number, TreeNode>()
  let held = 0
  for (let page = 0; page * BITS_PER_PAGE < length; page++) {
    const bits = await orUndefined(one(log, (read) => read.getBitfieldPage(page)))
    const end = Math.min((page + 1) * BITS_PER_PAGE, length)
    for (let block = page * BITS_PER_PAGE; block < end; block++) {
      const bit = block % BITS_PER_PAGE
      // Without its page of the bitfield, each block is looked for.
      if (bits && ((bits[bit >> 3] ?? 0) & (1 << (bit & 7))) === 0) continue
      const value = await orUndefined(one(log, (read) => read.getBlock(block)))
      if (value || bits) held++
      if (!value) continue
      blocks.push(block)
      leaves.set(2 * block, { index: 2 * block, size: value.length, hash: leafHash(value) })
    }
  }
  return { held, blocks, leaves }
}

/** The tree, as it is stored, or as it follows from what is below. */
async function readNodes(
  log: LogStorage,
  length: number,
  leaves: ReadonlyMap<number, TreeNode>
): Promise<Map<number, TreeNode>> {
  const nodes = new Map<number, TreeNode>()
  for (let index = 0; index < 2 * length - 1; index++) {
    const stored = await orUndefined(one(log, (read) => read.getTreeNode(index)))
    const node = stored ?? leaves.get(index)
    if (node) nodes.set(index, node)
  }
  for (let span = 2; span < 2 * length; span *= 2) {
    for (let index = span - 1; index < 2 * length - 1; index += 2 * span) {
      const left = nodes.get(index - span / 2)
      const right = nodes.get(index + span / 2)
      if (!nodes.has(index) && left && right && index + span <= 2 * length) {
        nodes.set(index, { index, size: left.size + right.size, hash: hashAbove(left, right) })
      }
    }
  }
  return nodes
}

/** Whether all is there that a peer is sent to prove a block. */
function isProvable(nodes: ReadonlyMap<number, TreeNode>, block: number, length: number): boolean {
  let span = 2
  const roots = new Set(rootsOf(length))
  for (const index of pathTo(2 * block, 2 * length)) {
    if (!nodes.has(index)) return false
    if (roots.has(index)) return true
    const isLeft = Math.floor(index / span) % 2 === 0
    if (!nodes.has(isLeft ? index + span : index - span)) return false
    span *= 2
  }
  return false
}

/** Indexes of the trees that a log of a length is made of. */
export function rootsOf(length: number): number[] {
  const roots: number[] = []
  let start = 0
  for (let rest = length; rest > 0;) {
    const count = 2 ** Math.floor(Math.log2(rest))
    roots.push(2 * start + count - 1)
    start += count
    rest -= count
  }
  return roots
}

async function copy(
  from: LogStorage,
  to: LogStorage,
  log: {
    readonly head: { readonly length: number }
    readonly nodes: ReadonlyMap<number, TreeNode>
    readonly whole: readonly number[]
  }
): Promise<void> {
  let write = to.write()
  let bytes = 0
  for (const block of log.whole) {
    const value = await one(from, (read) => read.getBlock(block))
    if (!value) continue
    write.putBlock(block, value)
    bytes += value.length
    if (bytes < BATCH_BYTES) continue
    await write.flush()
    write = to.write()
    bytes = 0
  }
  for (const node of log.nodes.values()) write.putTreeNode(node)
  // What says that blocks are there comes last, with the end of the log.
  const pages = new Map<number, Buffer>()
  for (const block of log.whole) {
    const page = Math.floor(block / BITS_PER_PAGE)
    const bits = pages.get(page) ?? Buffer.alloc(BITS_PER_PAGE / 8)
    pages.set(page, bits)
    const bit = block % BITS_PER_PAGE
    bits[bit >> 3] = (bits[bit >> 3] ?? 0) | (1 << (bit & 7))
  }
  for (const [page, bits] of pages) write.putBitfieldPage(page, bits)
  write.setHead(log.head)
  await write.flush()
}

async function one<T>(
  log: LogStorage,
  get: (read: ReturnType<LogStorage['read']>) => Promise<T>
): Promise<T> {
  const read = log.read()
  const got = get(read)
  read.tryFlush()
  return await got
}

/** Undefined for what is not there, or does not read back. */
async function orUndefined<T>(reading: Promise<T | null>): Promise<T | undefined> {
  try {
    return (await reading) ?? undefined
  } catch {
    return undefined
  }
}
