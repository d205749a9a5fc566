/** Bytes that the log's encryption wants before a block. */
export const BLOCK_ROOM = 8
