import zstd from 'zstd-napi/binding.js'
import { ContainerError } from '../../core/errors.ts'
import { CHUNK_BYTES } from '../tree/tree.ts'

/** Chosen by measuring a Debian tree: docs/decisions/0001-compression.md. */
export const CHUNK_LEVEL = 3

/** How one chunk is stored. */
export interface StoredChunk {
  /** Block content before the drive's encryption; a buffer of its own. */
  readonly stored: Uint8Array
  /** Whether `stored` is the content itself because a frame would not be smaller. */
  readonly raw: boolean
}

/** Length of a chunk as stored, and whether that is the content itself. */
export interface StoredLength {
  readonly storedBytes: number
  readonly raw: boolean
}

const { CCtx, CParameter, DCtx, compressBound, findFrameCompressedSize, getFrameContentSize } = zstd

// The contexts and the scratch buffer are reused: making them costs more than a small chunk does.
// Calls are synchronous, so within one thread nothing can interleave.
const compressor = new CCtx()
compressor.setParameter(CParameter.compressionLevel, CHUNK_LEVEL)
const decompressor = new DCtx()
/** Room for what any chunk becomes while it is compressed. */
export const MOST_STORED_BYTES = compressBound(CHUNK_BYTES)
const scratch = Buffer.allocUnsafeSlow(MOST_STORED_BYTES)

/**
 * Compresses one chunk of at most {@link CHUNK_BYTES}, synchronously.
 *
 * @returns a zstd frame with its content size, or the content itself when that is not larger
 */
export function compressChunk(content: Uint8Array): StoredChunk {
  const { storedBytes, raw } = compressChunkBehind(scratch, 0, content)
  // A copy: a slice of the scratch buffer lasts until the next chunk.
  return { stored: new Uint8Array(scratch.subarray(0, storedBytes)), raw }
}

/**
 * {@link compressChunk} into a buffer at hand. `content` may lie in the same buffer at `offset` or
 * behind, so a batch of chunks can be compressed in place, front to back.
 */
export function compressChunkInto(
  target: Uint8Array,
  offset: number,
  content: Uint8Array
): StoredLength {
  const stored = compressChunkBehind(scratch, 0, content)
  target.set(scratch.subarray(0, stored.storedBytes), offset)
  return stored
}

/**
 * {@link compressChunk} into another buffer, without a copy.
 *
 * @param target with {@link MOST_STORED_BYTES} from `offset` on
 */
export function compressChunkBehind(
  target: Uint8Array,
  offset: number,
  content: Uint8Array
): StoredLength {
  if (content.length > CHUNK_BYTES) throw new RangeError(`a chunk of ${content.length} bytes`)
  const length = compressor.compress2(target.subarray(offset), content)
  if (length < content.length) return { storedBytes: length, raw: false }
  target.set(content, offset)
  return { storedBytes: content.length, raw: true }
}

/**
 * The content of a stored chunk. A raw chunk is returned as it came, without a copy.
 *
 * @param expectedBytes the content's length as the index promises; never more is produced
 * @throws ContainerError `BAD_BLOCK` when the block does not decode to exactly that
 */
export function decompressChunk(
  stored: Uint8Array,
  raw: boolean,
  expectedBytes: number
): Uint8Array {
  if (raw) {
    if (stored.length !== expectedBytes) throw badBlock(`${stored.length} raw bytes`, expectedBytes)
    return stored
  }
  if (expectedBytes > CHUNK_BYTES) throw badBlock('a chunk', expectedBytes)
  return decompressFrame(stored, expectedBytes)
}

/**
 * Decodes exactly one zstd frame that fills `expectedBytes`. The frame's own claims are compared
 * before anything is allocated.
 *
 * @param base what the frame was compressed with, see {@link compressFrame}
 * @throws ContainerError `BAD_BLOCK`
 */
export function decompressFrame(
  frame: Uint8Array,
  expectedBytes: number,
  base?: Uint8Array
): Buffer {
  let length: number
  let content: Buffer
  try {
    const claimed = getFrameContentSize(frame)
    if (claimed !== expectedBytes) throw badBlock(`a frame of ${claimed} bytes`, expectedBytes)
    if (findFrameCompressedSize(frame) !== frame.length) throw badBlock('two frames', expectedBytes)
    content = Buffer.allocUnsafeSlow(expectedBytes)
    length =
      base === undefined
        ? decompressor.decompress(content, frame)
        : decompressor.decompressUsingDict(content, frame, base)
  } catch (error) {
    if (error instanceof ContainerError) throw error
    throw badBlock('no zstd frame', expectedBytes, error)
  }
  if (length !== expectedBytes) throw badBlock(`${length} bytes`, expectedBytes)
  return content
}

/** The most that base and content may have together: what any decoder keeps in its window. */
export const MOST_WINDOW_BYTES = 2 ** 27
const LEAST_WINDOW_LOG = 10

/**
 * Compresses anything in one call, for the parts of an image that are written once.
 *
 * @param base content that is much the same, with which the frame will be decompressed; zstd calls it a
 *   raw content dictionary, and its command line `--patch-from`. At most {@link MOST_WINDOW_BYTES}
 *   together with `content`
 */
export function compressFrame(content: Uint8Array, level: number, base?: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafeSlow(compressBound(content.length))
  const context = new CCtx()
  if (base === undefined) return frame.subarray(0, context.compress(frame, content, level))
  const window = Math.ceil(Math.log2(base.length + content.length))
  context.setParameter(CParameter.compressionLevel, level)
  context.setParameter(CParameter.windowLog, Math.max(window, LEAST_WINDOW_LOG))
  context.loadDictionary(base)
  return frame.subarray(0, context.compress2(frame, content))
}

function badBlock(found: string, expectedBytes: number, cause?: unknown): ContainerError {
  return new ContainerError(
    'BAD_BLOCK',
    `a stored block is damaged: it contains ${found} instead of ${expectedBytes} bytes`,
    { hint: 'the image is damaged; ask its publisher to share it again', cause }
  )
}
