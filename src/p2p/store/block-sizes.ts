import type Hypercore from 'hypercore'

/** Nodes of the tree that are read in one trip to the store. */
const BATCH = 1_024

/**
 * Reads the sizes of blocks that are here from the log's tree.
 *
 * @param blocks numbers of blocks
 * @returns stored bytes by block, without those that the store does not tell
 */
export async function sizesOf(
  log: Hypercore,
  blocks: readonly number[]
): Promise<Map<number, number>> {
  const sizes = new Map<number, number>()
  for (let from = 0; from < blocks.length; from += BATCH) {
    const batch = blocks.slice(from, from + BATCH)
    const read = log.core.state.storage.read()
    const nodes = batch.map((block) => read.getTreeNode(2 * block))
    read.tryFlush()
    for (const [n, node] of (await Promise.all(nodes)).entries()) {
      if (node) sizes.set(batch[n] as number, node.size)
    }
  }
  return sizes
}
