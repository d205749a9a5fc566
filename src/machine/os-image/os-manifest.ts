import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { JsonFields } from '../../core/json-fields.ts'
import { isSealed } from './manifest-digest.ts'
import { parsePublicKey, verifyMinisign, type MinisignPublicKey } from './minisign.ts'
import { ARCHITECTURES, type Architecture } from '../state/machine-types.ts'

export const KERNEL = 'vmlinuz'
export const INITRD = 'initrd'
export const MANIFEST = 'manifest.json'
export const SIGNATURE = 'manifest.json.minisig'
/** Limits for a manifest, against a hostile one. */
export const MANIFEST_BYTES = 8 * 1024 ** 2
const MANIFEST_FILES = 64
const NAME_LENGTH = 255
const SHA256_PATTERN = /^[0-9a-f]{64}$/

/** The content of a manifest. */
export interface OsManifest {
  /** SHA-256 of the manifest, in lower-case hexadecimal: it names the image. */
  readonly digest: string
  readonly files: readonly ListedFile[]
  readonly architecture?: Architecture
  /** Version of the tool in it, as `0.1.0`; older manifests do not tell. */
  readonly version?: string
  /** Tells releases of one version apart. ISO 8601, UTC; older manifests tell it as `created`. */
  readonly released?: string
}

/** One file of an image as its manifest lists it. */
export interface ListedFile {
  readonly name: string
  readonly bytes: number
  /** Lower-case hexadecimal. */
  readonly sha256: string
}

/** A checked manifest, and how it was signed. */
export interface CheckedManifest {
  readonly text: string
  readonly files: readonly ListedFile[]
  readonly architecture?: Architecture
  /** Text and trusted comment of the signature, where a key was given. */
  readonly signature?: { readonly text: string; readonly comment: string }
}

/**
 * Reads and checks the manifest of an image; what it lists is yet to be checked.
 *
 * @param publicKey a minisign key, or the path of one: the manifest must be signed by it
 * @throws ContainerError `BAD_MANIFEST`, `BAD_SOURCE`
 */
export async function openManifest(
  directory: string,
  publicKey: string | undefined
): Promise<CheckedManifest> {
  const text = await readManifest(join(directory, MANIFEST))
  const signature =
    publicKey === undefined ? undefined : await checkSignature(directory, text, publicKey)
  return {
    text,
    ...parseOsManifest(text),
    ...(signature === undefined ? {} : { signature })
  }
}

/** Reads and checks the manifest of an image, and none of its files. @throws ContainerError `BAD_MANIFEST` */
export async function readOsManifest(directory: string): Promise<OsManifest> {
  return parseOsManifest(await readManifest(join(directory, MANIFEST)))
}

/**
 * Reads of a manifest what starting and upgrading need: `files: [{ name, bytes, sha256 }]`, kernel
 * and initrd among them, `arch`, `version`, and `released` or `created`. Its `digest` is of its own
 * text: no bit of it changes unnoticed, signed or not.
 *
 * @throws ContainerError `BAD_MANIFEST`
 */
export function parseOsManifest(text: string): OsManifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw badManifest('it does not parse', cause)
  }
  const manifest = new JsonFields(value, '', badManifest)
  const digest = manifest.line('digest', 64)
  checkDigest(text, digest)
  const files = manifest.objects('files', MANIFEST_FILES).map((fields) => ({
    name: fields.line('name', NAME_LENGTH),
    bytes: fields.count('bytes'),
    sha256: fields.line('sha256', 64)
  }))
  for (const { name, sha256 } of files) {
    if (!/^[\w][\w.-]*$/.test(name)) throw badManifest('it names a file of another directory')
    if (!SHA256_PATTERN.test(sha256)) throw badManifest(`the SHA-256 of ${name} is malformed`)
  }
  for (const name of [KERNEL, INITRD]) listedFile(files, name)
  return { digest, files, ...readArchitecture(manifest), ...readRelease(manifest) }
}

function readArchitecture(manifest: JsonFields): Pick<OsManifest, 'architecture'> {
  if (!manifest.has('arch')) return {}
  const architecture = ARCHITECTURES[manifest.line('arch', 16)]
  if (architecture === undefined) throw badManifest('it has an unknown architecture')
  return { architecture }
}

function readRelease(manifest: JsonFields): Pick<OsManifest, 'version' | 'released'> {
  const version = manifest.has('version') ? manifest.line('version', 64) : undefined
  if (version !== undefined && !/^\d{1,6}\.\d{1,6}\.\d{1,6}([-+]|$)/.test(version)) {
    throw badManifest('its version is malformed')
  }
  const time = ['released', 'created'].find((name) => manifest.has(name))
  const released = time === undefined ? undefined : new Date(manifest.line(time, 40))
  if (released !== undefined && Number.isNaN(released.getTime())) {
    throw badManifest('it does not say when it was made')
  }
  return {
    ...(version === undefined ? {} : { version }),
    ...(released === undefined ? {} : { released: released.toISOString() })
  }
}

/**
 * Finds a file in a manifest by its name.
 *
 * @throws ContainerError `BAD_MANIFEST` unless it is listed exactly once
 */
export function listedFile(files: readonly ListedFile[], name: string): ListedFile {
  const [file, ...more] = files.filter((each) => each.name === name)
  if (file === undefined || more.length > 0)
    throw badManifest(`it does not list ${name} exactly once`)
  return file
}

function checkDigest(text: string, digest: string): void {
  if (SHA256_PATTERN.test(digest) && isSealed(text, digest)) return
  throw badManifest('it was changed: its digest differs')
}

async function readManifest(path: string): Promise<string> {
  const { size } = await stat(path).catch((cause: unknown) => {
    throw badManifest(`it cannot be read (${systemErrorCode(cause)})`, cause)
  })
  if (size > MANIFEST_BYTES) throw badManifest('it is too large')
  return manifestText(await readFile(path))
}

/** Decodes the text of a manifest. @throws ContainerError `BAD_MANIFEST` for bytes that are not UTF-8 */
export function manifestText(bytes: Buffer): string {
  const text = bytes.toString('utf8')
  // Bytes that are no UTF-8 would be checked as something else than they are.
  if (!Buffer.from(text).equals(bytes)) throw badManifest('it is not UTF-8')
  return text
}

async function checkSignature(
  directory: string,
  manifest: string,
  publicKey: string
): Promise<{ text: string; comment: string }> {
  const key = await givenPublicKey(publicKey)
  const path = join(directory, SIGNATURE)
  const signature = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw refusedImage(`its manifest is not signed: ${path} cannot be read`, cause)
  })
  return { text: signature, comment: verifyMinisign(Buffer.from(manifest), signature, key) }
}

/** Reads a key that is given as text or as the path of a file. */
export async function textOrFile(text: string): Promise<string> {
  return existsSync(text) ? readFile(text, 'utf8') : text
}

/** Reads a minisign key that is given as such or as a path. @throws ContainerError `USAGE` */
export async function givenPublicKey(publicKey: string): Promise<MinisignPublicKey> {
  return parsePublicKey(await textOrFile(publicKey))
}

function badManifest(message: string, cause?: unknown): ContainerError {
  return new ContainerError('BAD_MANIFEST', `bad manifest of the HyperOS image: ${message}`, {
    hint: 'build the image again (npm run os-image), or get it from its publisher again',
    ...(cause === undefined ? {} : { cause })
  })
}

/** The error for an image that is not what it should be. */
export function refusedImage(message: string, cause?: unknown): ContainerError {
  return new ContainerError('BAD_SOURCE', `the HyperOS image is refused: ${message}`, {
    hint: 'build it again (npm run os-image), or get it from its publisher again',
    ...(cause === undefined ? {} : { cause })
  })
}
