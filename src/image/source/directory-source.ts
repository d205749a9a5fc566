import { realpath, stat } from 'node:fs/promises'
import { DirectoryTreeScan } from './directory-scan.ts'
import { readContainerIgnore } from './container-ignore.ts'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { FileContents } from './file-contents.ts'
import { ioError } from './source-reader.ts'
import type { ScanOptions } from './directory-scan.ts'
import type { FileList } from './file-list.ts'
import type { ReadThread } from './read-thread.ts'
import type { PublishSource } from './publish-source.ts'
import type { TreeBuilder } from '../tree/tree-builder.ts'
import type { DirectoryScan, ScannedDirectory, UnchangedFiles } from './unchanged-files.ts'

export interface DirectoryOptions extends ScanOptions {
  /** Patterns of what is left out, as in `.containerignore`, behind that file's own. */
  readonly exclude?: readonly string[]
  /** Told each of those patterns that left nothing out, once all is scanned. */
  readonly onIdlePattern?: (pattern: string) => void
  /** Reads the files; its owner ends it. @default one that is started when they are read */
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
): Promise<DirectorySource> {
  const source = await openDirectory(path, options)
  await source.scanAll()
  return source
}

/** {@link scanDirectory} whose metadata is read while publishing, too: a file's content as soon as it is found. */
export async function openDirectory(
  path: string,
  options: DirectoryOptions = {}
): Promise<DirectorySource> {
  const root = await openRoot(path)
  const startedMs = Date.now()
  const rules = await readContainerIgnore(root, options.exclude)
  const isIgnored = options.isIgnored ?? rules?.isIgnored
  const scan = new DirectoryTreeScan(root, { ...options, ...(isIgnored ? { isIgnored } : {}) })
  const { reader, onIdlePattern = () => {} } = options
  const onScanned = (): void => rules?.idle().forEach(onIdlePattern)
  return new DirectorySource(scan, { root, startedMs }, { reader, onScanned })
}

/** Files of an update that are looked at together. */
const FOUND_AT_ONCE = 2000

export class DirectorySource implements PublishSource {
  readonly kind = 'directory'
  readonly builder: TreeBuilder
  readonly contents: FileContents
  readonly directory: ScannedDirectory
  readonly #scan: DirectoryTreeScan
  readonly #onScanned: () => void
  readonly #turns: AsyncGenerator<void, void, undefined>
  #files: FileList | undefined
  #unchanged: UnchangedFiles | undefined

  constructor(
    scan: DirectoryTreeScan,
    facts: Pick<ScannedDirectory, 'root' | 'startedMs'>,
    {
      reader,
      onScanned = () => {}
    }: { readonly reader: ReadThread | undefined; readonly onScanned?: () => void }
  ) {
    this.builder = scan.builder
    this.directory = { ...facts, device: scan.device }
    this.#scan = scan
    this.#onScanned = onScanned
    this.#turns = scan.turns()
    this.contents = new FileContents(() => this.#lists(), reader)
  }

  /** Everything that was scanned; undefined before the scan has ended. */
  get scan(): DirectoryScan | undefined {
    return this.#files && { ...this.directory, files: this.#files }
  }

  get unchanged(): UnchangedFiles | undefined {
    return this.#unchanged
  }

  get totalFiles(): number {
    return this.#files?.length ?? 0
  }

  get totalBytes(): number {
    return this.#files ? this.#scan.bytes : 0
  }

  async scanAll(): Promise<void> {
    while (await this.#scanOn());
  }

  /** Scans until something else has ended, or failed. */
  async scanUntil(ended: Promise<unknown>): Promise<void> {
    const other = { hasEnded: false }
    const end = (): void => {
      other.hasEnded = true
    }
    ended.then(end, end)
    while (!other.hasEnded && (await this.#scanOn()));
  }

  /**
   * Leaves out of what is read the files that are as they were, from the first on: to be called before
   * anything is read.
   */
  recognise(unchanged: UnchangedFiles): void {
    this.#unchanged = unchanged
  }

  /** @returns whether there may be more */
  async #scanOn(): Promise<boolean> {
    if (!(await this.#turns.next()).done) return true
    if (this.#files === undefined) this.#onScanned()
    this.#files = this.#scan.allFiles()
    return false
  }

  async *#lists(): AsyncGenerator<FileList, void, undefined> {
    for await (const found of this.#found()) {
      const files = this.#unchanged?.takeFrom(found) ?? found
      if (files.length === 0) continue
      await this.#scan.readXattrs(files)
      yield files
    }
  }

  async *#found(): AsyncGenerator<FileList, void, undefined> {
    yield this.#scan.takeFiles()
    while (await this.#scanOn()) {
      // An update has few files left to read, and each list costs a message.
      const isEnough = !this.#unchanged || this.#scan.found >= FOUND_AT_ONCE
      if (isEnough) yield this.#scan.takeFiles()
    }
    yield this.#scan.takeFiles()
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
  throw new ContainerError('BAD_SOURCE', `${path} is not a directory`, {
    hint: 'give the path of a directory that holds a root filesystem'
  })
}
