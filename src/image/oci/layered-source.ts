import { ArchiveTree } from '../tar/archive-tree.ts'
import { BatchPacker } from '../chunk/batch-packer.ts'
import { ByteStream } from '../tar/byte-stream.ts'
import { BATCH_BYTES } from '../tree/content-batch.ts'
import { isContainerError } from '../../core/errors.ts'
import { doubleColumn, wordColumn } from '../../core/growing-column.ts'
import { packTarContent } from '../tar/tar-content.ts'
import { TarReader } from '../tar/tar-reader.ts'
import type { ContentBatch, ContentSource } from '../tree/content-batch.ts'
import type { GrowingColumn } from '../../core/growing-column.ts'
import type { StartCommand } from '../format/manifest.ts'
import type { PublishSource } from '../source/publish-source.ts'
import type { TarEntry } from '../tar/tar-reader.ts'
import type { TreeBuilder } from '../tree/tree-builder.ts'
import type { ContainerImage, Layer } from './container-image.ts'
import { layerError } from './image-error.ts'
import { checkLayerBlob, layerArchive } from './layer-stream.ts'
import { AUFS_LINKS, readWhiteout } from './whiteout.ts'

/** The files of a layer in its order: inodes, 0 for those that a later entry replaced or removed. */
type LayerFiles = GrowingColumn<Uint32Array>

/**
 * A container image as something to publish. Its layers are read twice: now, to learn what is left
 * of each, and while publishing, for the content of that alone.
 *
 * @throws ContainerError `BAD_SOURCE`, `IO`, `CANCELLED`, `MISSING_TOOL`
 */
export async function openLayers(
  image: ContainerImage,
  signal?: AbortSignal
): Promise<PublishSource> {
  const tree = new ArchiveTree()
  const files: LayerFiles[] = []
  const sizes: GrowingColumn<Float64Array>[] = []
  for (const layer of image.layers) {
    tree.beginLayer()
    const inodes = wordColumn()
    const bytes = doubleColumn()
    await readLayer(image, layer, signal, async (entry) => {
      const whiteout = readWhiteout(entry)
      if (whiteout?.kind === 'remove') tree.removeLower(whiteout.path)
      else if (whiteout?.kind === 'opaque') tree.removeLowerEntries(whiteout.path)
      else if (whiteout !== undefined) return
      else if (entry.kind === 'hardlink') tree.link(entry.path, entry.target)
      else {
        const { path, attributes, xattrs, symlinkTarget, content } = entry
        const inode = tree.put(path, attributes, {
          xattrs,
          ...(symlinkTarget === undefined ? {} : { symlinkTarget })
        })
        if (content === undefined) return
        inodes.push(inode)
        bytes.push(content.size)
      }
    })
    tree.forget(AUFS_LINKS)
    files.push(inodes)
    sizes.push(bytes)
  }
  const numbers = tree.finish()
  let totalFiles = 0
  let totalBytes = 0
  for (const [n, inodes] of files.entries()) {
    for (let i = 0; i < inodes.length; i++) {
      const inode = numbers[inodes.get(i)]!
      inodes.set(i, inode)
      if (inode === 0) continue
      totalFiles++
      totalBytes += sizes[n]!.get(i)
    }
  }
  return new LayeredSource(image, tree.builder, files, { totalFiles, totalBytes })
}

class LayeredSource implements PublishSource, ContentSource {
  readonly kind: string
  readonly arch: string
  readonly start: Partial<StartCommand>
  readonly builder: TreeBuilder
  readonly contents: ContentSource = this
  readonly totalFiles: number
  readonly totalBytes: number
  readonly #image: ContainerImage
  readonly #files: readonly LayerFiles[]
  readonly #free: ArrayBuffer[] = []

  constructor(
    image: ContainerImage,
    builder: TreeBuilder,
    files: readonly LayerFiles[],
    { totalFiles, totalBytes }: { totalFiles: number; totalBytes: number }
  ) {
    this.kind = image.kind
    this.arch = image.config.platform.arch
    this.start = image.config.start
    this.builder = builder
    this.totalFiles = totalFiles
    this.totalBytes = totalBytes
    this.#image = image
    this.#files = files
  }

  async *batches(signal?: AbortSignal): AsyncGenerator<ContentBatch, void, undefined> {
    const packer = new BatchPacker(() => this.#free.pop() ?? new ArrayBuffer(BATCH_BYTES))
    for (const [n, layer] of this.#image.layers.entries()) {
      const inodes = this.#files[n]!
      if (inodes.view().some((inode) => inode !== 0)) {
        yield* this.#layer(layer, inodes, packer, signal)
      }
    }
    if (!packer.isEmpty) yield packer.take()
  }

  recycle(buffer: ArrayBuffer): void {
    this.#free.push(buffer)
  }

  async *#layer(
    layer: Layer,
    inodes: LayerFiles,
    packer: BatchPacker,
    signal: AbortSignal | undefined
  ): AsyncGenerator<ContentBatch, void, undefined> {
    const archive = layerArchive(this.#image.store, layer, signal)
    const reader = new TarReader(new ByteStream(archive), { isVouchedFor: true })
    let next = 0
    try {
      for await (const entry of reader.entries()) {
        if (entry.kind !== 'inode' || !entry.content || readWhiteout(entry)) continue
        const inode = inodes.get(next++)
        if (inode !== undefined && inode !== 0) {
          yield* packTarContent(inode, entry.content, reader, packer)
        }
        if (packer.isFull) yield packer.take()
      }
    } catch (error) {
      throw await whyLayer(error, this.#image, layer, reader.path, signal)
    } finally {
      await archive.return()
    }
  }
}

async function readLayer(
  image: ContainerImage,
  layer: Layer,
  signal: AbortSignal | undefined,
  take: (entry: TarEntry) => Promise<void>
): Promise<void> {
  const archive = layerArchive(image.store, layer, signal)
  const reader = new TarReader(new ByteStream(archive), { isVouchedFor: true })
  try {
    for await (const entry of reader.entries()) await take(entry)
  } catch (error) {
    throw await whyLayer(error, image, layer, reader.path, signal)
  } finally {
    await archive.return()
  }
}

/** What to say of a layer that could not be read. */
async function whyLayer(
  error: unknown,
  image: ContainerImage,
  layer: Layer,
  path: string,
  signal: AbortSignal | undefined
): Promise<unknown> {
  const told = layerError(error, layerName(image, layer), path)
  if (!isContainerError(told, 'BAD_SOURCE')) return told
  await checkLayerBlob(image.store, layer, signal)
  return told
}

function layerName({ layers }: ContainerImage, layer: Layer): string {
  return `layer ${layers.indexOf(layer) + 1} of ${layers.length}`
}
