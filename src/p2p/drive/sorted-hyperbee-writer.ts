import { Node, YoloIndex } from 'hyperbee/lib/messages.js'
import { GrowingColumn } from '../../core/growing-column.ts'

/** A node that gets one key more is split: four stay, one goes up, four go on (Hyperbee's `T` is 5). */
const MOST_KEYS = 8
const KEPT_KEYS = MOST_KEYS / 2

/** Where a node stands; its offset is known when its block is encoded. */
interface Place {
  readonly block: number
  offset: number
}

interface BeeNode {
  keys: number[]
  /** One more than keys, but for leaves and for those on the right edge, whose last one still grows. */
  children: Place[]
}

interface StoredNode extends BeeNode {
  readonly place: Place
}

/** Blocks one behind the other, each behind its room. */
export interface BeeBlocks {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Lengths of the blocks, without their room. */
  readonly lengths: readonly number[]
}

export interface SortedHyperbeeWriterOptions {
  /** Number of the block that the first entry becomes. */
  readonly first: number
  /** Blocks whose entries the Hyperbee has already, with lower keys, in their order: at most {@link MOST_KEYS}. */
  readonly before?: readonly number[]
  /** Bytes to be left before each block. */
  readonly room: number
}

/** What most blocks hold: no node is complete with three entries of four. */
const NO_NODES = YoloIndex.encode({ levels: [] })
const FIRST_BYTES = 64 * 1024
/** A column with memory of its own, which can be given to another thread. */
const blocksColumn = (bytes: number): GrowingColumn<Buffer> =>
  new GrowingColumn((length) => Buffer.allocUnsafeSlow(length), bytes)

/**
 * Makes the blocks of a Hyperbee whose entries come in ascending order of key. Only the right edge of
 * such a tree ever grows, so nothing is looked up and nothing waited for: about half of what a batch of
 * Hyperbee's own takes for each entry.
 *
 * Each block has an entry, and the nodes that became complete with it (`YoloIndex` of hyperbee 2; a
 * child is a block's number and the place in its index). The last block of each {@link take} has the
 * nodes of the right edge too, the root first, where readers look for it.
 */
export class SortedHyperbeeWriter {
  /** From the leaf up. */
  readonly #edge: BeeNode[]
  readonly #room: number
  /** Blocks one behind the other, each behind its room. */
  #bytes = blocksColumn(FIRST_BYTES)
  /** Lengths of the blocks. */
  #lengths: number[] = []
  #last: { key: Buffer; value: Buffer; nodes: StoredNode[] } | undefined
  #next: number

  constructor({ first, before = [], room }: SortedHyperbeeWriterOptions) {
    this.#edge = [{ keys: [...before], children: [] }]
    this.#next = first
    this.#room = room
  }

  /** Blocks that {@link take} would give. */
  get length(): number {
    return this.#lengths.length + (this.#last ? 1 : 0)
  }

  /** @param key as it is stored, above all keys before */
  add(key: Buffer, value: Buffer): void {
    this.#completeLast()
    this.#last = { key, value, nodes: [] }
    this.#insert(0, this.#next++)
  }

  /** The blocks since the last time. With all that was taken before they are a whole Hyperbee. */
  take(): BeeBlocks {
    if (this.#last) {
      this.#addEdge(this.#last.nodes)
      this.#completeLast()
    }
    const { values, length } = this.#bytes
    const taken = {
      bytes: new Uint8Array(values.buffer as ArrayBuffer, 0, length),
      lengths: this.#lengths
    }
    this.#bytes = blocksColumn(values.length)
    this.#lengths = []
    return taken
  }

  #insert(level: number, key: number): void {
    const node = this.#edge[level]!
    node.keys.push(key)
    if (node.keys.length <= MOST_KEYS) return
    const kept: BeeNode = {
      keys: node.keys.slice(0, KEPT_KEYS),
      children: node.children.slice(0, KEPT_KEYS + 1)
    }
    const median = node.keys[KEPT_KEYS]!
    node.keys = node.keys.slice(KEPT_KEYS + 1)
    node.children = node.children.slice(KEPT_KEYS + 1)
    const above = (this.#edge[level + 1] ??= { keys: [], children: [] })
    above.children.push(this.#store(kept))
    this.#insert(level + 1, median)
  }

  #store({ keys, children }: BeeNode): Place {
    const place = { block: this.#next - 1, offset: 0 }
    this.#last!.nodes.push({ keys, children, place })
    return place
  }

  /** The right edge as it is now; it grows on, and these copies are then nobody's. */
  #addEdge(nodes: StoredNode[]): void {
    let below: Place[] = []
    for (const { keys, children } of this.#edge) {
      below = [this.#store({ keys: [...keys], children: [...children, ...below] })]
    }
    nodes.unshift(nodes.pop()!)
  }

  #completeLast(): void {
    if (!this.#last) return
    const { key, value, nodes } = this.#last
    const index = nodes.length === 0 ? NO_NODES : encodeNodes(nodes)
    const block = { key, value, index }
    const length = Node.encodingLength(block)
    this.#bytes.reserve(this.#room + length)
    const start = this.#bytes.length + this.#room
    Node.encode(block, this.#bytes.values, start)
    this.#bytes.length = start + length
    this.#lengths.push(length)
    this.#last = undefined
  }
}

function encodeNodes(nodes: readonly StoredNode[]): Buffer {
  for (const [offset, { place }] of nodes.entries()) place.offset = offset
  const levels = nodes.map(({ keys, children }) => ({
    keys,
    children: children.flatMap(({ block, offset }) => [block, offset])
  }))
  return YoloIndex.encode({ levels })
}
