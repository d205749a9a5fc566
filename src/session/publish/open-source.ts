import { realpath, stat } from 'node:fs/promises'
import { isAbsolute, relative } from 'node:path'
import { STDIN } from '../../image/tar/archive-stream.ts'
import type { CleanupStack } from '../../core/cleanup-stack.ts'
import { openDirectory } from '../../image/source/directory-source.ts'
import { ContainerError } from '../../core/errors.ts'
import { kernelMountsIn } from '../../image/source/mount-points.ts'
import { DirectoryBlobs } from '../../image/oci/blob-store.ts'
import { findImage, findImageOfKind } from '../../image/oci/find-image.ts'
import { openLayers } from '../../image/oci/layered-source.ts'
import { openArchive } from '../../image/oci/open-archive.ts'
import { parsePlatform } from '../../image/oci/platform.ts'
import { isOciReference, parseOciReference } from '../../image/oci/reference.ts'
import { ReadThread } from '../../image/source/read-thread.ts'
import type { PublishSource } from '../../image/source/publish-source.ts'
import { directoryKind } from '../../image/oci/directory-kind.ts'
import { fetchRegistryImage } from './registry-image.ts'

export interface OpenSourceOptions {
  /** A directory, an archive, `-` for an archive on stdin, or a reference such as `docker://debian:12`. */
  readonly path: string
  /** Patterns of what to leave out, as in `.containerignore`; directories only, as is the next. */
  readonly exclude?: string[]
  readonly oneFileSystem?: boolean
  /** Real path of the home, which has keys and secrets. A source that contains the home shows it as an empty directory. */
  readonly home?: string
  /** Which of a directory's files must be read is known when this has ended; it is scanned until then. */
  readonly recognised?: Promise<unknown>
  /** `os/arch[/variant]` of a container image; images only, as are the next. */
  readonly platform?: string
  /** How to read the source. @default by its type */
  readonly as?: 'tar' | 'files'
  /** Go on behind the end of an archive of files, as where several were joined. */
  readonly ignoreZeros?: boolean
  /** Told in a sentence what is odd about the source and was read all the same. */
  readonly onNotice?: (notice: string) => void
  /** Credentials for a registry, as skopeo reads them. */
  readonly authfile?: string
  /** Allow HTTP, and certificates that nobody vouches for. */
  readonly insecureRegistry?: boolean
  readonly signal: AbortSignal
}

/**
 * Opens a source according to its type. No other function chooses the type.
 *
 * @param cleanup closes it
 */
export async function openSource(
  options: OpenSourceOptions,
  cleanup: CleanupStack
): Promise<PublishSource> {
  const { path, oneFileSystem, signal } = options
  const choice = options.platform === undefined ? {} : { platform: parsePlatform(options.platform) }
  if (isOciReference(path)) {
    refuseArchiveOptions(options, 'a reference already determines its type')
    refuseDirectoryOptions(options)
    return openReference(options, choice, cleanup)
  }
  if (options.authfile !== undefined || options.insecureRegistry === true) {
    throw new ContainerError(
      'USAGE',
      '--authfile and --insecure-registry apply only to registries',
      {
        hint: 'name an image in a registry as docker://NAME'
      }
    )
  }
  // A missing path counts as a missing directory; the scan reports it.
  const status = path === STDIN ? undefined : await stat(path).catch(() => undefined)
  if (path !== STDIN && (status === undefined || status.isDirectory())) {
    const asFiles = options.as === 'files'
    if (status !== undefined) {
      refuseArchiveOptions(
        asFiles ? { ...options, as: undefined } : options,
        'it is a directory; --as files publishes what is in it'
      )
    }
    const kind = asFiles ? undefined : await directoryKind(path)
    if (kind !== undefined) {
      refuseDirectoryOptions(options)
      return openLayers(await findImageOfKind(new DirectoryBlobs(path), kind, choice), signal)
    }
    refusePlatform(options)
    const { exclude, onNotice } = options
    const reader = new ReadThread()
    cleanup.defer(() => reader[Symbol.asyncDispose]())
    const source = await openDirectory(path, {
      reader,
      signal,
      xattrsLater: options.recognised !== undefined,
      emptied: [...(await homeWithin(path, options.home)), ...(await kernelMountsWithin(options))],
      isEmptied: (names, directory) => isOtherHome(names, directory, options.onNotice),
      ...(exclude ? { exclude } : {}),
      onIdlePattern: (pattern) =>
        onNotice?.(`--exclude ${pattern} left nothing out: nothing in the source matches it`),
      ...(oneFileSystem ? { oneFileSystem: true } : {})
    })
    if (options.recognised) await source.scanUntil(options.recognised)
    return source
  }
  refuseDirectoryOptions(options)
  const { as, ignoreZeros, onNotice } = options
  const given = {
    ...choice,
    ...(as === undefined ? {} : { expected: 'tar' as const }),
    ...(ignoreZeros === undefined ? {} : { ignoreZeros }),
    ...(onNotice === undefined ? {} : { onNotice })
  }
  const source = await openArchive(path, { ...given, signal }, cleanup)
  if (source.kind === 'tar') refusePlatform(options)
  else refuseArchiveOptions({ ...options, as: undefined }, 'it is a container image')
  return source
}

/** Where a home below the source is, which is shown empty; of a source that is the home, nothing. */
async function homeWithin(source: string, home: string | undefined): Promise<string[]> {
  if (home === undefined) return []
  const below = relative(await realpath(source).catch(() => source), home)
  return below === '' || below.startsWith('..') || isAbsolute(below) ? [] : [below]
}

/** Files of a home after its daemon has run: the seed of its keys, and the secrets of its images. */
const HOME_NAMES = ['daemon.lock', 'images.json', 'store', 'store.json']

/** Whether a directory with these names in it is another home, whose keys and secrets nobody means to share. */
function isOtherHome(
  names: readonly string[],
  path: string,
  onNotice: OpenSourceOptions['onNotice']
): boolean {
  if (!HOME_NAMES.every((name) => names.includes(name))) return false
  const shown = Buffer.from(path, 'latin1').toString()
  onNotice?.(`/${shown} in the source is a home of dat-container: it is published empty`)
  return true
}

/** Finds the kernel's own file systems below the source. Their files do not read as they are listed. */
async function kernelMountsWithin({
  path,
  oneFileSystem,
  onNotice
}: OpenSourceOptions): Promise<string[]> {
  const mounts = kernelMountsIn(await realpath(path).catch(() => path))
  if (oneFileSystem === true || mounts.length === 0) return mounts
  const list = mounts.map((mount) => `/${mount}`).join(', ')
  onNotice?.(`a kernel file system is mounted at ${list} in the source: it is published empty`)
  return mounts
}

async function openReference(
  { path: source, authfile, insecureRegistry, signal }: OpenSourceOptions,
  choice: { platform?: ReturnType<typeof parsePlatform> },
  cleanup: CleanupStack
): Promise<PublishSource> {
  const reference = await parseOciReference(source)
  if (reference.transport === 'docker') {
    const registry = {
      ...choice,
      signal,
      ...(authfile === undefined ? {} : { authfile }),
      ...(insecureRegistry === undefined ? {} : { insecure: insecureRegistry })
    }
    return openLayers(await fetchRegistryImage(reference.name, registry, cleanup), signal)
  }
  const { path, tag } = reference
  const chosen = { ...choice, ...(tag === undefined ? {} : { tag }) }
  if (reference.transport === 'oci') {
    return openLayers(await findImage(new DirectoryBlobs(path), chosen, 'oci'), signal)
  }
  const expected = reference.transport === 'oci-archive' ? 'oci' : 'docker-archive'
  return openArchive(path, { ...chosen, expected, signal }, cleanup)
}

function refuseDirectoryOptions({ exclude, oneFileSystem }: OpenSourceOptions): void {
  if (!exclude && !oneFileSystem) return
  throw new ContainerError('USAGE', '--exclude and --one-file-system apply only to directories', {
    hint: 'tar has options of the same names'
  })
}

function refuseArchiveOptions(
  { as, ignoreZeros }: { as?: string | undefined; ignoreZeros?: boolean },
  hint: string
): void {
  if (as === undefined && ignoreZeros !== true) return
  throw new ContainerError('USAGE', '--as and --ignore-zeros apply only to archives of files', {
    hint
  })
}

function refusePlatform({ platform }: OpenSourceOptions): void {
  if (platform === undefined) return
  throw new ContainerError('USAGE', '--platform applies only to container images', {
    hint: 'a directory or an archive of files has only the platform of its programs'
  })
}
