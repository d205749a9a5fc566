import { realpath, stat } from 'node:fs/promises'
import { DirectoryTreeScan } from './directory-scan.ts'
import { readContainerIgnore } from './container-ignore.ts'
import { ContainerError, systemErrorCode } from './errors.ts'
import { FileContents } from './file-contents.ts'
import { filesToRead, type FileList } from './file-list.ts'
import { ioError } from './source-reader.ts'
import type { ScanOptions } from './directory-scan.ts'
import type { ReadThread } from './read-thread.ts'
import type { PublishSource } from './publish.ts'
import type { TreeBuilder } from './tree-builder.ts'
import type { DirectoryScan } from './unchanged-files.ts'

export interface DirectoryOptions extends ScanOptions {
  /** Reads the files; whoever started it ends it. @default one that is started when they are read */
  readonly reader?: ReadThread
}

/**
 * A directory as something to publish: its metadata is read now, its content while publishing.
 *
 * @throws ContainerError `NOT_FOUND`, `BAD_SOURCE` when it is no directory, `SOURCE_CHANGED`, `IO`,
 *   `CANCELLED`
 */
export async function scanDirectory(
  path: string,
  options: DirectoryOptions = {}
): Promise<PublishSource> {
  const source = await openDirectory(path, options)
  await source.scanAll()
  return source
}

/**
 * {@link scanDirectory} whose metadata is read while publishing, too: a file's content as soon as it is
 * found. Where some files need not be read, that would be too soon.
 */
export async function openDirectory(
  path: string,
  options: DirectoryOptions = {}
): Promise<DirectorySource> {
  const root = await openRoot(path)
  const startedNs = BigInt(Date.now()) * 1_000_000n
  const isIgnored = options.isIgnored ?? (await readContainerIgnore(root))
  const scan = new DirectoryTreeScan(root, { ...options, ...(isIgnored ? { isIgnored } : {}) })
  return new DirectorySource(scan, { root, startedNs }, options.reader)
}

class DirectorySource implements PublishSource {
  readonly kind = 'directory'
  readonly builder: TreeBuilder
  readonly contents: FileContents
  readonly #scan: DirectoryTreeScan
  readonly #facts: Pick<DirectoryScan, 'root' | 'startedNs'>
  #files: FileList | undefined

  constructor(
    scan: DirectoryTreeScan,
    facts: Pick<DirectoryScan, 'root' | 'startedNs'>,
    reader: ReadThread | undefined
  ) {
    this.builder = scan.builder
    this.#scan = scan
    this.#facts = facts
    this.contents = new FileContents(() => this.#lists(), reader)
  }

  /** Of all that was scanned; undefined before. */
  get scan(): DirectoryScan | undefined {
    return this.#files && { ...this.#facts, device: this.#scan.device, files: this.#files }
  }

  get totalFiles(): number {
    return this.#files?.length ?? 0
  }

  get totalBytes(): number {
    return this.#files ? this.#scan.bytes : 0
  }

  async scanAll(): Promise<void> {
    for await (const _turn of this.#turns());
  }

  async *#turns(): AsyncGenerator<void, void, undefined> {
    yield* this.#scan.turns()
    this.#files = this.#scan.allFiles()
  }

  async *#lists(): AsyncGenerator<FileList, void, undefined> {
    for await (const files of this.#found()) {
      await this.#scan.readXattrs(files)
      yield files
    }
  }

  async *#found(): AsyncGenerator<FileList, void, undefined> {
    if (this.#files) yield filesToRead(this.#files)
    else for await (const _turn of this.#turns()) yield this.#scan.takeFiles()
  }
}

async function openRoot(path: string): Promise<Buffer> {
  try {
    const root = await realpath(path, 'buffer')
    if ((await stat(root)).isDirectory()) return root
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) {
      throw ioError(Buffer.from(path), error)
    }
    throw new ContainerError('NOT_FOUND', `there is no ${path}`, {
      hint: 'give the path of a directory that holds a root filesystem',
      cause: error
    })
  }
  throw new ContainerError('BAD_SOURCE', `${path} is no directory`, {
    hint: 'give the path of a directory that holds a root filesystem'
  })
}
