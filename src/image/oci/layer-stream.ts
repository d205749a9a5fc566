import { createHash } from 'node:crypto'
import { decompressed } from '../tar/archive-stream.ts'
import { throwIfCancelled } from '../../core/cancel.ts'
import { checkContent, checkedSize } from './blob.ts'
import type { BlobStore } from './blob-store.ts'
import type { Layer } from './container-image.ts'
import { badImage } from './image-error.ts'

/**
 * The tar archive of a layer, decompressed. A reader that reaches its end knows that every byte was what
 * the image says: the blob of its size and digest, the archive of its own.
 *
 * @throws ContainerError `BAD_SOURCE`, `IO`, `MISSING_TOOL`, `CANCELLED`
 */
export async function* layerArchive(
  store: BlobStore,
  layer: Layer,
  signal?: AbortSignal
): AsyncGenerator<Uint8Array, void, undefined> {
  const size = await checkedSize(store, layer)
  const stored = createHash('sha256')
  const archive = createHash('sha256')
  let read = 0
  const readPieces = async function* (): AsyncGenerator<Buffer, void, undefined> {
    for await (const piece of store.read(layer.name)) {
      read += piece.length
      if (layer.digest !== undefined) stored.update(piece)
      yield piece
    }
  }
  const pieces = readPieces()
  /** What a decompressor leaves is part of the blob all the same. */
  const checkBlob = async (): Promise<void> => {
    // Wherever the decompressor stopped, what it was handed last is counted, and nothing is open.
    await pieces.return()
    if (layer.digest === undefined) return
    for await (const piece of store.read(layer.name, read)) {
      throwIfCancelled(signal)
      read += piece.length
      stored.update(piece)
    }
    checkContent(layer, read, size, stored.digest('hex'))
  }
  try {
    for await (const piece of decompressed(pieces)) {
      throwIfCancelled(signal)
      archive.update(piece)
      yield piece
    }
  } catch (error) {
    throwIfCancelled(signal)
    // A blob that is another one altogether says more than what its decompressor stumbled over.
    await checkBlob()
    throw error
  } finally {
    await pieces.return()
  }
  await checkBlob()
  if (layer.diffId !== `sha256:${archive.digest('hex')}`) {
    throw badImage(`${layer.name} does not contain the archive that the config names`)
  }
}

/**
 * Reads a layer's blob only to check its digest. If a layer does not parse, a wrong digest explains more
 * than the position of the parse error.
 *
 * @throws ContainerError `BAD_SOURCE` for another blob than the image says, `IO`, `CANCELLED`
 */
export async function checkLayerBlob(
  store: BlobStore,
  layer: Layer,
  signal?: AbortSignal
): Promise<void> {
  if (layer.digest === undefined) return
  const size = await checkedSize(store, layer)
  const hash = createHash('sha256')
  let read = 0
  for await (const piece of store.read(layer.name)) {
    throwIfCancelled(signal)
    read += piece.length
    hash.update(piece)
  }
  checkContent(layer, read, size, hash.digest('hex'))
}
