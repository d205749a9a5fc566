import { MerkleTree, type TreeSession } from 'hypercore/lib/merkle-tree.js'
import { replaceMethod } from '../library-seams.ts'

/**
 * Before a block is asked for, hypercore looks for the nearest node above it that is known here, so that
 * the peer sends no more of the Merkle tree than is needed. It looks them up one after the other, each
 * by a trip to the store's threads: six to seven a block, which is most of what a reader's main thread
 * does while it fetches. This asks for all of a path in one trip.
 */
export function lookUpMerklePaths(): void {
  replaceMethod('MerkleTree.missingNodes', MerkleTree, () => missingNodes)
}

/**
 * What hypercore 11 computes under this name.
 *
 * @param index of a node of a flat in-order tree: block `n` is node `2 n`
 * @param length blocks of the log as it is known here
 * @returns how many nodes from this one up are not known; 0 for one beyond the log's end
 */
async function missingNodes(session: TreeSession, index: number, length: number): Promise<number> {
  const path = pathTo(index, 2 * length)
  if (path.length === 0) return 0
  const read = session.storage.read()
  const found = path.map((node) => read.hasTreeNode(node))
  read.tryFlush()
  const known = await Promise.all(found)
  const nearest = known.indexOf(true)
  return nearest === -1 ? path.length : nearest
}

/** The node and those above it whose leaves all come before `head`, twice the log's length. */
export function pathTo(index: number, head: number): number[] {
  const path: number[] = []
  let span = 2
  for (let rest = index; rest % 2 === 1; rest = (rest - 1) / 2) span *= 2
  for (let node = index; node + span / 2 - 1 < head; span *= 2) {
    path.push(node)
    const isLeft = Math.floor(node / span) % 2 === 0
    node += isLeft ? span / 2 : -span / 2
  }
  return path
}
