import type Hypercore from 'hypercore'

/** Bytes that the log's encryption wants before a block. */
export const BLOCK_PADDING = 8

/**
 * Blocks that lie one behind the other, each behind its room.
 *
 * @param lengths of the blocks, without their room
 * @returns the blocks with their room; views of `bytes`
 */
export function paddedViews(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  let end = 0
  return lengths.map((length) => bytes.subarray(end, (end += BLOCK_PADDING + length)))
}

/** Copies of blocks, each behind room that is still to be filled. */
export function withPadding(blocks: readonly Uint8Array[]): Buffer[] {
  return blocks.map((block) => {
    const roomy = Buffer.allocUnsafeSlow(BLOCK_PADDING + block.length)
    roomy.set(block, BLOCK_PADDING)
    return roomy
  })
}

/**
 * A session of a log whose blocks come with their room, and are encrypted where they are; left to itself, the log
 * copies each to make it.
 */
export function paddedSession(log: Hypercore): Hypercore {
  if (log.padding !== BLOCK_PADDING) throw new TypeError(`blocks want ${log.padding} bytes of room`)
  return log.session({ encodeBatch: (blocks: Buffer[]) => blocks })
}
