import { ContainerError, isContainerError } from '../../core/errors.ts'
import { decompressPart, MAX_INDEX_BYTES } from '../../image/format/index-codec.ts'
import { readPartBlocks } from '../../image/format/image-part.ts'
import type { PartPointer } from '../../image/format/manifest.ts'
import type { ImageConnection } from '../connection/image-connection.ts'

/**
 * Reads a part of an image through its connection.
 *
 * @param timeoutMs as of the connection's `readBlock`
 * @throws ContainerError `BAD_INDEX` when it is damaged or larger than `limitBytes`, and what reading throws
 */
export async function readPart(
  connection: ImageConnection,
  part: PartPointer,
  timeoutMs: number | undefined,
  signal: AbortSignal | undefined,
  limitBytes = MAX_INDEX_BYTES
): Promise<Buffer> {
  if (Math.max(part.storedBytes, part.bytes) > limitBytes) {
    throw new ContainerError('BAD_INDEX', 'a part of this image is larger than any may be')
  }
  const blocks = await readPartBlocks(part, (block) =>
    connection.readBlock(block, timeoutMs, signal)
  )
  try {
    return decompressPart(blocks, part, limitBytes)
  } catch (error) {
    if (isContainerError(error)) throw error
    throw new ContainerError('BAD_INDEX', 'the index of this image is damaged', { cause: error })
  }
}
