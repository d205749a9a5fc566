import { createHash } from 'node:crypto'
import { ContainerError } from '../../core/errors.ts'
import { exportTar } from './tar-export.ts'
import { oneLine } from '../tar/tar-error.ts'
import { TAR_END, tarHeader, tarPadding } from '../tar/tar-writer.ts'
import { walk } from '../tree/walk.ts'
import type { ChunkReader } from '../chunk/chunk-reader.ts'
import type { Manifest } from '../format/manifest.ts'
import type { ExportedTar } from './tar-export.ts'
import type { InodeAttributes, Tree } from '../tree/tree.ts'
import { layerCompressor } from './compress-layer.ts'
import type { LayerCompression } from './compress-layer.ts'
import { exportedConfig } from './exported-config.ts'

/** Where an archive is written: in order, but for one header that is known last. */
export interface ArchiveSink {
  write(bytes: Uint8Array): Promise<void>
  writeAt(bytes: Uint8Array, position: number): Promise<void>
}

export interface ExportImageOptions {
  /** @default 'gzip', which everything reads */
  readonly compression?: LayerCompression
  readonly signal?: AbortSignal
  /** @param bytes of content written so far */
  readonly onProgress?: (bytes: number) => void
}

export interface ExportedImage extends ExportedTar {
  /** Digest of the image's manifest. */
  readonly digest: string
}

interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

const OCI = 'application/vnd.oci.image'
const REF_NAME = 'org.opencontainers.image.ref.name'
const WHITEOUT = '.wh.'

/**
 * Writes an image as an OCI archive, a tar archive of an OCI layout, with one layer. The same version
 * becomes the same bytes.
 *
 * @throws ContainerError `BAD_SOURCE` for a name that layers give another meaning; what reading
 *   chunks throws, and what the sink throws
 * @see OCI image-spec, image-layout.md; containers-transports(5), "oci-archive"
 */
export async function exportImage(
  { tree, chunks, manifest }: { tree: Tree; chunks: ChunkReader; manifest: Manifest },
  sink: ArchiveSink,
  { compression = 'gzip', ...options }: ExportImageOptions = {}
): Promise<ExportedImage> {
  checkNames(tree)
  const archive = new LayoutArchive(sink, manifest)
  const layer = createHash('sha256')
  let exported: ExportedTar | undefined
  const layerBlob = await archive.streamed(`${OCI}.layer.v1.tar+${compression}`, async (give) => {
    const compressor = layerCompressor(compression, give)
    const write = async (bytes: Uint8Array): Promise<void> => {
      layer.update(bytes)
      await compressor.write(bytes)
    }
    exported = await exportTar(tree, chunks, write, { ...options, acls: 'xattrs' })
    await compressor.end()
  })
  const config = exportedConfig(manifest, `sha256:${layer.digest('hex')}`)
  const configBlob = await archive.json(`${OCI}.config.v1+json`, config)
  const manifestBlob = await archive.json(`${OCI}.manifest.v1+json`, {
    schemaVersion: 2,
    mediaType: `${OCI}.manifest.v1+json`,
    config: configBlob,
    layers: [layerBlob]
  })
  const { arch: architecture, os } = manifest
  await archive.file('index.json', {
    schemaVersion: 2,
    manifests: [
      {
        ...manifestBlob,
        annotations: { [REF_NAME]: refName(manifest.name) },
        platform: { architecture, os }
      }
    ]
  })
  await archive.file('oci-layout', { imageLayoutVersion: '1.0.0' })
  const bytes = await archive.end()
  return { ...exported!, bytes, digest: manifestBlob.digest }
}

/** The files of a layout as members of a tar archive. */
class LayoutArchive {
  readonly #sink: ArchiveSink
  readonly #mtimeSeconds: number
  #position = 0

  constructor(sink: ArchiveSink, { created }: Manifest) {
    this.#sink = sink
    this.#mtimeSeconds = Math.floor(Date.parse(created) / 1_000)
  }

  /** A blob of a size that is not known before it is written. */
  async streamed(
    mediaType: string,
    write: (give: (bytes: Uint8Array) => Promise<void>) => Promise<void>
  ): Promise<Descriptor> {
    const hash = createHash('sha256')
    const start = this.#position
    // It already has the length that it will have.
    await this.#write(this.#header('', 0))
    let size = 0
    await write(async (bytes) => {
      hash.update(bytes)
      size += bytes.length
      await this.#write(bytes)
    })
    await this.#write(tarPadding(size))
    const digest = hash.digest('hex')
    await this.#sink.writeAt(this.#header(`blobs/sha256/${digest}`, size), start)
    return { mediaType, digest: `sha256:${digest}`, size }
  }

  async json(mediaType: string, document: object): Promise<Descriptor> {
    const bytes = Buffer.from(JSON.stringify(document))
    const digest = createHash('sha256').update(bytes).digest('hex')
    await this.#member(`blobs/sha256/${digest}`, bytes)
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length }
  }

  file(path: string, document: object): Promise<void> {
    return this.#member(path, Buffer.from(JSON.stringify(document)))
  }

  /** @returns bytes of the archive */
  async end(): Promise<number> {
    await this.#write(TAR_END)
    return this.#position
  }

  async #member(path: string, bytes: Buffer): Promise<void> {
    await this.#write(this.#header(path, bytes.length))
    await this.#write(bytes)
    await this.#write(tarPadding(bytes.length))
  }

  /** All are equally long, as the size always is in an extended header. */
  #header(path: string, size: number): Buffer {
    const attributes: InodeAttributes = {
      type: 'file',
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtimeSeconds: this.#mtimeSeconds,
      mtimeNanoseconds: 0,
      deviceMajor: 0,
      deviceMinor: 0
    }
    const records = [['size', String(size)]] as const
    return tarHeader({ path: Buffer.from(path), type: '0', attributes, size, records })
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#position += bytes.length
    if (bytes.length > 0) await this.#sink.write(bytes)
  }
}

/** In a layer, a name that begins so removes another. */
function checkNames(tree: Tree): void {
  for (const { path } of walk(tree)) {
    const name = path.subarray(path.lastIndexOf('/') + 1)
    if (name.toString('latin1', 0, WHITEOUT.length) !== WHITEOUT) continue
    throw new ContainerError('BAD_SOURCE', `${oneLine(path.toString())} cannot be in a layer`, {
      hint: 'names that begin with .wh. mean something else there; export it as tar'
    })
  }
}

/** A name as references allow it. */
function refName(name: string): string {
  return name.replace(/[^\w.-]+/g, '-').replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '') || 'image'
}
