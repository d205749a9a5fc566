import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../../core/errors.ts'
import { cpioOfFiles } from './cpio-entry.ts'
import { formatPublicKey } from '../os-image/minisign.ts'
import { NETBOOT_CHECK, NETBOOT_FOLDER } from './netboot-script.ts'
import { checkFile } from '../os-image/os-image.ts'
import {
  givenPublicKey,
  INITRD,
  KERNEL,
  MANIFEST,
  openManifest,
  refusedImage,
  SIGNATURE,
  type ListedFile
} from '../os-image/os-manifest.ts'
import type { Architecture } from '../state/machine-types.ts'

/** An image in memory: these very bytes were checked. */
export interface NetbootImage {
  readonly kernel: Buffer
  /** SHA-256 of the initrd, hexadecimal. */
  readonly initrdDigest: string
  /** The first stage, an initrd that checks the other one. */
  readonly check: Buffer
  /** An archive of the initrd, the manifest and its signature, as the first stage looks for them. */
  readonly archive: Buffer
  /** Undefined when the manifest does not tell. */
  readonly architecture?: Architecture
  /** The key that the manifest is signed by, base64, where that was checked. */
  readonly publicKey?: string
}

/** More is no kernel and no initrd; it must fit into memory. */
const MOST_BYTES = 1024 ** 3

/**
 * Reads an image to serve it, and checks all of it as a machine's start does.
 *
 * @param publicKey a minisign key, or the path of one: the manifest must be signed by it
 * @throws ContainerError `BAD_MANIFEST`, `BAD_SOURCE`
 */
export async function readNetbootImage(
  directory: string,
  publicKey: string | undefined
): Promise<NetbootImage> {
  const manifest = await openManifest(directory, publicKey)
  const contents = new Map<string, Buffer>()
  for (const file of manifest.files) {
    if ([KERNEL, INITRD, NETBOOT_CHECK].includes(file.name)) {
      contents.set(file.name, await readChecked(directory, file))
    } else {
      await checkFile(directory, file)
    }
  }
  const content = (name: string): Buffer => {
    const found = contents.get(name)
    if (found !== undefined) return found
    throw refusedImage(
      `its manifest does not list ${name}, which machines that start from a network need`
    )
  }
  const initrd = content(INITRD)
  const { architecture, signature } = manifest
  const archived = new Map([
    [MANIFEST, Buffer.from(manifest.text)],
    ...(signature === undefined ? [] : [[SIGNATURE, Buffer.from(signature.text)] as const]),
    [INITRD, initrd]
  ])
  return {
    kernel: content(KERNEL),
    initrdDigest: digestOf(initrd),
    check: aligned(content(NETBOOT_CHECK)),
    archive: cpioOfFiles(NETBOOT_FOLDER, archived),
    ...(architecture === undefined ? {} : { architecture }),
    ...(publicKey === undefined
      ? {}
      : { publicKey: formatPublicKey(await givenPublicKey(publicKey)) })
  }
}

async function readChecked(directory: string, file: ListedFile): Promise<Buffer> {
  const { name, bytes, sha256 } = file
  const path = join(directory, name)
  let content: Buffer
  try {
    const { size } = await stat(path)
    if (size !== bytes) throw refusedImage(`${name} has ${size} bytes, not ${bytes}`)
    if (size > MOST_BYTES) throw refusedImage(`${name} is too large: ${size} bytes`)
    content = await readFile(path)
  } catch (cause) {
    const code = systemErrorCode(cause)
    throw code === undefined ? cause : refusedImage(`${name} cannot be read (${code})`, cause)
  }
  if (digestOf(content) === sha256) return content
  throw refusedImage(`${name} does not match its manifest`)
}

/** UEFI's kernels put one initrd behind the other, and an archive must begin at a multiple of four. */
function aligned(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc(-content.length & 3)])
}

function digestOf(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
