import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { ContainerError, systemErrorCode } from '../image/errors.ts'
import { JsonFields } from '../image/json-fields.ts'
import { isSealed } from './manifest-digest.ts'
import { parsePublicKey, verifyMinisign } from './minisign.ts'
import { ARCHITECTURES, archName, type Architecture } from './qemu-plan.ts'

/** A kernel and an initrd that are what their manifest says. */
export interface OsImage {
  /** Full paths. */
  readonly kernel: string
  readonly initrd: string
  /** Undefined when the manifest does not tell, or there is none. */
  readonly architecture?: Architecture
  /** The trusted comment of the manifest's signature, where that was checked. */
  readonly signedComment?: string
}

const KERNEL = 'vmlinuz'
const INITRD = 'initrd'
const MANIFEST = 'manifest.json'
const SIGNATURE = 'manifest.json.minisig'
/** What a manifest may list and say: bounds against a hostile one. */
const MANIFEST_BYTES = 8 * 1024 ** 2
const MANIFEST_FILES = 64
const NAME_LENGTH = 255
const SHA256_PATTERN = /^[0-9a-f]{64}$/

/** One file of an image as its manifest lists it. */
interface ListedFile {
  readonly name: string
  readonly bytes: number
  /** Lower-case hexadecimal. */
  readonly sha256: string
}

/**
 * Where the operating system's image lies: what the environment names, else what was built beside
 * this program, else the home's own. One for arm64 has `-arm64` behind its folder's name.
 *
 * @param homeImage the home's own place
 * @param asked the architecture that the image must be for; else this machine's own is the first
 * @throws ContainerError `NOT_FOUND`
 */
export function findImage(homeImage: string, asked?: Architecture): string {
  const named = process.env['DAT_CONTAINER_OS_IMAGE']
  const isArm = (asked ?? process.arch) === 'arm64'
  const places = named
    ? [resolve(named)]
    : [
        ...(isArm ? [builtBesideProgram('dist-arm64'), `${homeImage}-arm64`] : []),
        ...(asked === 'arm64' ? [] : [builtBesideProgram('dist'), homeImage])
      ]
  const found = places.find((place) => place !== undefined && existsSync(join(place, MANIFEST)))
  if (found !== undefined) return found
  throw new ContainerError(
    'NOT_FOUND',
    `there is no HyperOS image: no ${MANIFEST} in ${places.filter(Boolean).join(' or ')}`,
    {
      hint: `build one (npm run os-image${asked === 'arm64' ? ' -- --arch arm64' : ''}), put one into ${places.at(-1)}, or name one with DAT_CONTAINER_OS_IMAGE or --kernel and --initrd`
    }
  )
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
  const text = await readManifest(join(directory, MANIFEST))
  const signedComment =
    options.publicKey === undefined
      ? undefined
      : await checkSignature(directory, text, options.publicKey)
  const { files, architecture } = parseOsManifest(text)
  const asked = options.architecture
  if (asked !== undefined && architecture !== undefined && architecture !== asked) {
    const [is, wanted] = [archName(architecture), archName(asked)]
    throw new ContainerError(
      'BAD_SOURCE',
      `the image in ${directory} is for ${is}, not ${wanted}`,
      {
        hint: `build one (npm run os-image -- --arch ${wanted}), or leave --arch out`
      }
    )
  }
  for (const file of files) await checkFile(directory, file)
  return {
    kernel: join(directory, KERNEL),
    initrd: join(directory, INITRD),
    ...(architecture === undefined ? {} : { architecture }),
    ...(signedComment === undefined ? {} : { signedComment })
  }
}

/** A kernel and an initrd that the user names; nothing is known of them but that they are there. */
export async function givenImage(kernel: string, initrd: string): Promise<OsImage> {
  for (const path of [kernel, initrd]) {
    const found = await stat(path).catch(() => undefined)
    if (found?.isFile() === true) continue
    throw new ContainerError('NOT_FOUND', `there is no file ${path}`, {
      hint: 'give the paths of a kernel and an initrd'
    })
  }
  return { kernel: resolve(kernel), initrd: resolve(initrd) }
}

/**
 * Reads of a manifest what starting needs: `files: [{ name, bytes, sha256 }]`, kernel and initrd
 * among them, and `arch`. Its `digest` is of its own text: no bit of it changes unnoticed, signed or
 * not.
 *
 * @throws ContainerError `BAD_MANIFEST`
 */
export function parseOsManifest(text: string): {
  files: ListedFile[]
  architecture?: Architecture
} {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw badManifest('it does not parse', cause)
  }
  const manifest = new JsonFields(value, '', badManifest)
  checkDigest(text, manifest.line('digest', 64))
  const files = manifest.objects('files', MANIFEST_FILES).map((fields) => ({
    name: fields.line('name', NAME_LENGTH),
    bytes: fields.count('bytes'),
    sha256: fields.line('sha256', 64)
  }))
  for (const { name, sha256 } of files) {
    if (!/^[\w][\w.-]*$/.test(name)) throw badManifest('it names a file of another directory')
    if (!SHA256_PATTERN.test(sha256)) throw badManifest(`the SHA-256 of ${name} is none`)
  }
  for (const name of [KERNEL, INITRD]) {
    const listed = files.filter((file) => file.name === name)
    if (listed.length !== 1) throw badManifest(`it does not list ${name} once`)
  }
  if (!manifest.has('arch')) return { files }
  const architecture = ARCHITECTURES[manifest.line('arch', 16)]
  if (architecture === undefined) throw badManifest('it is of an unknown architecture')
  return { files, architecture }
}

function checkDigest(text: string, digest: string): void {
  if (SHA256_PATTERN.test(digest) && isSealed(text, digest)) return
  throw badManifest('it is not what it was made as: its digest differs')
}

async function readManifest(path: string): Promise<string> {
  const { size } = await stat(path).catch((cause: unknown) => {
    throw badManifest(`it cannot be read (${systemErrorCode(cause)})`, cause)
  })
  if (size > MANIFEST_BYTES) throw badManifest('it is too large')
  const bytes = await readFile(path)
  const text = bytes.toString('utf8')
  // Bytes that are no UTF-8 would be checked as something else than they are.
  if (!Buffer.from(text).equals(bytes)) throw badManifest('it is not UTF-8')
  return text
}

async function checkSignature(
  directory: string,
  manifest: string,
  publicKey: string
): Promise<string> {
  const key = parsePublicKey(existsSync(publicKey) ? await readFile(publicKey, 'utf8') : publicKey)
  const path = join(directory, SIGNATURE)
  const signature = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw refusedImage(`its manifest is not signed: ${path} cannot be read`, cause)
  })
  return verifyMinisign(Buffer.from(manifest), signature, key)
}

async function checkFile(directory: string, { name, bytes, sha256 }: ListedFile): Promise<void> {
  const path = join(directory, name)
  // Other files, licences for instance, may have been left out; these two are started.
  const isStarted = name === KERNEL || name === INITRD
  if (!isStarted && !existsSync(path)) return
  const hash = createHash('sha256')
  try {
    const { size } = await stat(path)
    if (size !== bytes) throw refusedImage(`${name} has ${size} bytes, not ${bytes}`)
    await pipeline(createReadStream(path, { highWaterMark: 1024 ** 2 }), hash)
  } catch (cause) {
    if (cause instanceof ContainerError) throw cause
    throw refusedImage(`${name} cannot be read (${systemErrorCode(cause)})`, cause)
  }
  if (hash.digest('hex') !== sha256) throw refusedImage(`${name} is not what its manifest says`)
}

function badManifest(message: string, cause?: unknown): ContainerError {
  return new ContainerError('BAD_MANIFEST', `bad manifest of the HyperOS image: ${message}`, {
    hint: 'build the image again (npm run os-image), or get it from its publisher again',
    ...(cause === undefined ? {} : { cause })
  })
}

function refusedImage(message: string, cause?: unknown): ContainerError {
  return new ContainerError('BAD_SOURCE', `the HyperOS image is refused: ${message}`, {
    hint: 'build it again (npm run os-image), or get it from its publisher again',
    ...(cause === undefined ? {} : { cause })
  })
}
