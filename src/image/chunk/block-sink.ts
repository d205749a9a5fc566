/** Where blocks go: the drive's blobs core. */
export interface BlockSink {
  /**
   * Appends blocks. They are the caller's again when the promise has settled. Calls may overlap; blocks
   * are appended in order of the calls.
   *
   * @returns the index of the first one; the others follow. Without blocks: the index of the next one
   */
  append(blocks: readonly Uint8Array[]): Promise<number>
  /**
   * Tells of the index that is going to be appended, so that the sink may begin with what it makes of it.
   *
   * @returns when that has begun
   */
  announceIndex?(packed: Uint8Array): Promise<void>
  /** Where a producer may put blocks for the sink to take, so that it need not pass them on. */
  readonly exchange?: BlockExchange
}

/** How the file of an exchange is divided. */
export interface ExchangeLayout {
  readonly path: string
  /** So many parts of equal size, from the file's start. */
  readonly slots: number
  readonly slotBytes: number
  /** Bytes before each block in a slot, which are the sink's. */
  readonly room: number
}

/** A file whose slots the producer of blocks fills, one run of blocks each. */
export interface BlockExchange {
  readonly layout: ExchangeLayout
  /**
   * {@link BlockSink.append} of blocks that lie in a slot from its start, each behind its room. The slot
   * may be filled again when the promise has settled.
   *
   * @param lengths of the blocks, without their room
   */
  appendSlot(slot: number, lengths: readonly number[]): Promise<number>
}
