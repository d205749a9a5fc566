import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { currentFolder } from './installed-images.ts'
import {
  INITRD,
  KERNEL,
  listedFile,
  MANIFEST,
  openManifest,
  refusedImage,
  type ListedFile
} from './os-manifest.ts'
import { archName, type Architecture } from '../state/machine-types.ts'

/** A kernel and an initrd that are what their manifest says. */
export interface OsImage {
  /** Full paths. */
  readonly kernel: string
  readonly initrd: string
  /** SHA-256 of their bytes, lower-case hexadecimal. */
  readonly kernelSha256: string
  readonly initrdSha256: string
  /** Undefined when the manifest does not tell, or there is none. */
  readonly architecture?: Architecture
  /** The trusted comment of the manifest's signature, where that was checked. */
  readonly signedComment?: string
}

/** A folder in which an image may lie, and how it got there. */
export interface ImagePlace {
  readonly kind: 'environment' | 'installed' | 'built' | 'home'
  readonly path: string
}

/**
 * Finds the image of HyperOS to start: the one that the environment names, else the installed one, else the one
 * built beside this program, else the home's own. A built image for arm64 is in a folder whose name ends with
 * `-arm64`.
 *
 * @param homeImage the home's own folder
 * @param asked the architecture that the image must be for; without it, this machine's own is preferred
 * @throws ContainerError `NOT_FOUND`, `IO` when the record of installed images cannot be read
 */
export function findImage(homeImage: string, asked?: Architecture): string {
  const places = imagePlaces(homeImage, asked)
  const found = places.find(hasImage)
  if (found !== undefined) return found.path
  throw new ContainerError(
    'NOT_FOUND',
    `there is no HyperOS image: no ${MANIFEST} in ${places.map(({ path }) => path).join(' or ')}`,
    {
      hint: `get one from peers (dat-container machine upgrade LINK), build one (npm run os-image${asked === 'arm64' ? ' -- --arch arm64' : ''}), put one into ${places.at(-1)?.path}, or name one with DAT_CONTAINER_OS_IMAGE or --kernel and --initrd`
    }
  )
}

/** Lists the places where {@link findImage} looks, in its order. @throws ContainerError `IO` */
export function imagePlaces(homeImage: string, asked?: Architecture): ImagePlace[] {
  const named = process.env['DAT_CONTAINER_OS_IMAGE']
  if (named) return [{ kind: 'environment', path: resolve(named) }]
  // Releases that are installed are this machine's own.
  const isOwn = asked === undefined || asked === process.arch
  const installed = isOwn ? currentFolder(homeImage) : undefined
  const suffixes = [
    ...((asked ?? process.arch) === 'arm64' ? ['-arm64'] : []),
    ...(asked === 'arm64' ? [] : [''])
  ]
  return [
    ...(installed === undefined ? [] : [{ kind: 'installed' as const, path: installed }]),
    ...suffixes.flatMap((suffix) => {
      const built = builtBesideProgram(`dist${suffix}`)
      return [
        ...(built === undefined ? [] : [{ kind: 'built' as const, path: built }]),
        { kind: 'home' as const, path: `${homeImage}${suffix}` }
      ]
    })
  ]
}

/** Tells whether there is an image at a place, complete or not. */
export function hasImage({ kind, path }: ImagePlace): boolean {
  // An installed image that is missing is an error, not a reason to start another one.
  return kind === 'installed' || existsSync(join(path, MANIFEST))
}

/** A folder of `os-image` of the package that this file is part of. */
function builtBesideProgram(name: string): string | undefined {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(directory, 'package.json'))) {
    const parent = dirname(directory)
    if (parent === directory) return undefined
    directory = parent
  }
  return join(directory, 'os-image', name)
}

/**
 * Checks kernel and initrd of an image against its manifest, all of their bytes.
 *
 * @param options.publicKey a minisign key, or the path of one: the manifest must be signed by it
 * @param options.architecture what the image must be for
 * @throws ContainerError `BAD_MANIFEST`, `BAD_SOURCE` for an image that is not what it should be
 */
export async function openImage(
  directory: string,
  options: { publicKey?: string | undefined; architecture?: Architecture | undefined } = {}
): Promise<OsImage> {
  const { files, architecture, signature } = await openManifest(directory, options.publicKey)
  const asked = options.architecture
  if (asked !== undefined && architecture !== undefined && architecture !== asked) {
    const [is, wanted] = [archName(architecture), archName(asked)]
    const hint = `build one (npm run os-image -- --arch ${wanted}), or leave --arch out`
    throw new ContainerError(
      'BAD_SOURCE',
      `the image in ${directory} is for ${is}, not ${wanted}`,
      { hint }
    )
  }
  for (const file of files) await checkFile(directory, file)
  return {
    kernel: join(directory, KERNEL),
    initrd: join(directory, INITRD),
    kernelSha256: listedFile(files, KERNEL).sha256,
    initrdSha256: listedFile(files, INITRD).sha256,
    ...(architecture === undefined ? {} : { architecture }),
    ...(signature === undefined ? {} : { signedComment: signature.comment })
  }
}

/** Makes an image of a kernel and an initrd that the user names. Nothing else is known of them. */
export async function givenImage(kernel: string, initrd: string): Promise<OsImage> {
  for (const path of [kernel, initrd]) {
    const found = await stat(path).catch(() => undefined)
    if (found?.isFile() === true) continue
    throw new ContainerError('NOT_FOUND', `there is no file ${path}`, {
      hint: 'give the paths of a kernel and an initrd'
    })
  }
  return {
    kernel: resolve(kernel),
    initrd: resolve(initrd),
    kernelSha256: await sha256OfFile(kernel),
    initrdSha256: await sha256OfFile(initrd)
  }
}

/**
 * Checks a file of an image, all of its bytes. One that is not there is refused where it is started.
 *
 * @throws ContainerError `BAD_SOURCE`
 */
export async function checkFile(
  directory: string,
  { name, bytes, sha256 }: ListedFile
): Promise<void> {
  const path = join(directory, name)
  // Other files, licences for instance, may have been left out; these two are started.
  const isStarted = name === KERNEL || name === INITRD
  if (!isStarted && !existsSync(path)) return
  let found: string
  try {
    const { size } = await stat(path)
    if (size !== bytes) throw refusedImage(`${name} has ${size} bytes, not ${bytes}`)
    found = await sha256OfFile(path)
  } catch (cause) {
    if (cause instanceof ContainerError) throw cause
    throw refusedImage(`${name} cannot be read (${systemErrorCode(cause)})`, cause)
  }
  if (found !== sha256) throw refusedImage(`${name} does not match its manifest`)
}

async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: 1024 ** 2 }), hash)
  return hash.digest('hex')
}
