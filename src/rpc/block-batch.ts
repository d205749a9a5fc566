import c, { type Encoding, type State } from 'compact-encoding'
import { BLOCK_PADDING } from '../p2p/block-padding.ts'

/**
 * Blocks to append, on the socket: how many, then each as a length and bytes. The bytes begin with the
 * room that the log's encryption wants before a block: the receiver encrypts them where they arrived,
 * where it otherwise copied each of them twice.
 */
export const paddedBlocks: Encoding<readonly Uint8Array[]> = {
  preencode(state: State, blocks) {
    c.uint.preencode(state, blocks.length)
    for (const { length } of blocks) {
      c.uint.preencode(state, BLOCK_PADDING + length)
      state.end += BLOCK_PADDING + length
    }
  },
  encode(state: State, blocks) {
    c.uint.encode(state, blocks.length)
    for (const block of blocks) {
      c.uint.encode(state, BLOCK_PADDING + block.length)
      const target = state.buffer
      target.fill(0, state.start, state.start + BLOCK_PADDING)
      target.set(block, state.start + BLOCK_PADDING)
      state.start += BLOCK_PADDING + block.length
    }
  },
  /** @returns blocks with their room, views of the message */
  decode(state: State) {
    const blocks: Uint8Array[] = []
    for (let left = c.uint.decode(state); left > 0; left--) blocks.push(c.buffer.decode(state))
    return blocks
  }
}
