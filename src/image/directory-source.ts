import { realpath, stat } from 'node:fs/promises'
import { scanTree } from './directory-scan.ts'
import { readContainerIgnore } from './container-ignore.ts'
import { ContainerError, systemErrorCode } from './errors.ts'
import { FileContents } from './file-contents.ts'
import { ioError } from './source-reader.ts'
import type { ScanOptions } from './directory-scan.ts'
import type { ReadThread } from './read-thread.ts'
import type { PublishSource } from './publish.ts'

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
  const root = await openRoot(path)
  const startedNs = BigInt(Date.now()) * 1_000_000n
  const isIgnored = options.isIgnored ?? (await readContainerIgnore(root))
  const { builder, files, bytes, device } = await scanTree(root, {
    ...options,
    ...(isIgnored ? { isIgnored } : {})
  })
  return {
    kind: 'directory',
    builder,
    totalFiles: files.length,
    totalBytes: bytes,
    contents: new FileContents(files, options.reader),
    scan: { root, device, startedNs, files }
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
