import c, { type Encoding, type State } from 'compact-encoding'
import { BLOCK_ROOM } from '../p2p/block-padding.ts'

/**
 * Blocks to append, on the socket: how many, then each as a length and bytes. The bytes begin with the
 * room that the log's encryption wants before a block: the receiver encrypts them where they arrived,
 * where it otherwise copied each of them twice.
 */
export const roomyBlocks: Encoding<readonly Uint8Array[]> = {
  preencode(state: State, blocks) {
    c.uint.preencode(state, blocks.length)
    for (const { length } of blocks) {
      c.uint.preencode(state, BLOCK_ROOM + length)
      state.end += BLOCK_ROOM + length
    }
  },
  encode(state: State, blocks) {
    c.uint.encode(state, blocks.length)
    for (const block of blocks) {
      c.uint.encode(state, BLOCK_ROOM + block.length)
      const target = state.buffer
      target.fill(0, state.start, state.start + BLOCK_ROOM)
      target.set(block, state.start + BLOCK_ROOM)
      state.start += BLOCK_ROOM + block.length
    }
  },
  /** @returns blocks with their room, views of the message */
  decode(state: State) {
    const blocks: Uint8Array[] = []
    for (let left = c.uint.decode(state); left > 0; left--) blocks.push(c.buffer.decode(state))
    return blocks
  }
}
