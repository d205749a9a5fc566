/** Where blocks go: the drive's blobs core. */
export interface BlockSink {
  /**
   * Appends blocks, which become the sink's own. Never called again before the promise has settled.
   *
   * @returns the index of the first one; the others follow. Of no blocks: that of the next one
   */
  append(blocks: readonly Uint8Array[]): Promise<number>
}
