/** Where blocks go: the drive's blobs core. */
export interface BlockSink {
  /**
   * Appends blocks. They are the caller's again when the promise has settled. Calls may overlap; blocks
   * are appended in order of the calls.
   *
   * @returns the index of the first one; the others follow. Of no blocks: that of the next one
   */
  append(blocks: readonly Uint8Array[]): Promise<number>
}
