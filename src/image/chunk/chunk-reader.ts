/**
 * The one interface through which file content is read. Implementations decorate each other:
 * remote (over the daemon's socket) → cached → recording.
 */
export interface ChunkReader {
  /**
   * The decoded content of one chunk: {@link CHUNK_BYTES} bytes, or fewer for a file's last chunk.
   * The result is shared: callers must not write to it.
   *
   * @param chunk number in the tree's chunk table
   * @throws ContainerError `BAD_BLOCK`, `PEERS_UNREACHABLE`, `CANCELLED`, `IO`
   */
  read(chunk: number, signal?: AbortSignal): Promise<Uint8Array>
}
