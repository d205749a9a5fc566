import { ArchiveStream } from './archive-stream.ts'
import { ArchiveTree } from './archive-tree.ts'
import { BatchPacker } from '../chunk/batch-packer.ts'
import { ByteStream } from './byte-stream.ts'
import { throwIfCancelled } from '../../core/cancel.ts'
import { BATCH_BYTES } from '../tree/content-batch.ts'
import { isContainerError } from '../../core/errors.ts'
import { packTarContent } from './tar-content.ts'
import { badArchive } from './tar-error.ts'
import { TarReader } from './tar-reader.ts'
import type { ContentBatch, ContentSource } from '../tree/content-batch.ts'
import type { TarEntry, TarReaderOptions } from './tar-reader.ts'
import type { PublishSource } from '../source/publish-source.ts'
import type { TreeBuilder } from '../tree/tree-builder.ts'

/**
 * A tar archive as something to publish: plain, or compressed with gzip, zstd, xz, bzip2 or compress. It is
 * read once, from front to back, while it is published; nothing is unpacked to disk.
 *
 * @param path of the archive; `-` is stdin
 * @throws ContainerError `NOT_FOUND`, `IO`. Publishing throws `BAD_SOURCE` for a damaged archive,
 *   `MISSING_TOOL` where the program for its compression is absent.
 */
export async function openTar(path: string, options?: TarSourceOptions): Promise<PublishSource> {
  return tarSource(await ArchiveStream.of(path), options)
}

/** {@link openTar} of an archive that is open already. */
export function tarSource(archive: ArchiveStream, options: TarSourceOptions = {}): PublishSource {
  return new TarSource(archive, options)
}

export interface TarSourceOptions extends Pick<TarReaderOptions, 'ignoreZeros' | 'onNotice'> {
  readonly watch?: TarWatch
}

/** Looks at an archive's entries while they are published; what it throws ends that. */
export interface TarWatch {
  /** Whether the content of an entry is wanted, which is held in memory then. */
  wants(entry: TarEntry): boolean
  take(content: Buffer): void
}

class TarSource implements PublishSource, ContentSource {
  readonly kind = 'tar'
  readonly totalFiles = 0
  readonly contents: ContentSource = this
  readonly #archive: ArchiveStream
  readonly #tree = new ArchiveTree()
  readonly #free: ArrayBuffer[] = []
  readonly #options: TarSourceOptions
  #bytes = 0

  constructor(archive: ArchiveStream, options: TarSourceOptions) {
    this.#archive = archive
    this.#options = options
  }

  get builder(): TreeBuilder {
    return this.#tree.builder
  }

  /** As if the rest of the file held as much content a byte as its beginning. */
  get totalBytes(): number {
    const { fileBytes, readBytes } = this.#archive
    if (fileBytes === undefined || readBytes === 0) return 0
    return Math.round((this.#bytes * fileBytes) / readBytes)
  }

  async *batches(signal?: AbortSignal): AsyncGenerator<ContentBatch, void, undefined> {
    const { watch } = this.#options
    const bytes = this.#archive.bytes(signal)
    const reader = new TarReader(new ByteStream(bytes), this.#options)
    const packer = new BatchPacker(() => this.#free.pop() ?? new ArrayBuffer(BATCH_BYTES))
    try {
      for await (const entry of reader.entries()) {
        throwIfCancelled(signal)
        const wanted: Buffer[] | undefined = watch?.wants(entry) ? [] : undefined
        if (entry.kind === 'hardlink') {
          this.#tree.link(entry.path, entry.target)
          continue
        }
        const { path, attributes, xattrs, symlinkTarget } = entry
        const inode = this.#tree.put(path, attributes, {
          xattrs,
          ...(symlinkTarget === undefined ? {} : { symlinkTarget })
        })
        if (entry.content) {
          yield* packTarContent(inode, entry.content, reader, packer, (bytes) => {
            this.#bytes += bytes.length
            wanted?.push(Buffer.from(bytes))
          })
        }
        if (wanted) watch?.take(Buffer.concat(wanted))
        if (packer.isFull) yield packer.take()
      }
      if (!packer.isEmpty) yield packer.take()
      this.#tree.finish()
    } catch (error) {
      throw sourceError(error, reader.path)
    } finally {
      await bytes.return()
    }
  }

  recycle(buffer: ArrayBuffer): void {
    this.#free.push(buffer)
  }
}

/** What a tree cannot hold is the archive's fault here, not an index's. */
function sourceError(error: unknown, path: string): unknown {
  if (!isContainerError(error, 'BAD_INDEX')) return error
  return badArchive(`${path}: ${error.message.replace(/^.*?: /, '')}`, undefined, error)
}
