import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatManifest } from '../../os-image/manifest.ts'
import { parseSecretKey, signManifest } from '../../os-image/sign.ts'

/** What a small image of HyperOS is made of. */
export interface SmallImage {
  readonly version: string
  /** Seconds since 1970. */
  readonly released: number
  /** A minisign secret key; nobody signs it without. */
  readonly secretKey?: string
  readonly initrdBytes?: number
  /** Instead of bytes that no machine starts. */
  readonly content?: { readonly vmlinuz: Buffer; readonly initrd: Buffer }
}

/**
 * Writes an image as a build makes it, manifest and signature by the build's own functions.
 *
 * @returns its digest
 */
export function writeImage(directory: string, image: SmallImage): string {
  mkdirSync(directory, { recursive: true })
  const { version, released, secretKey, initrdBytes = 300_000 } = image
  const content = image.content ?? {
    vmlinuz: randomBytes(70_000),
    initrd: randomBytes(initrdBytes)
  }
  const files = Object.entries({ ...content, 'licences.txt.xz': Buffer.from('licences') }).map(
    ([name, bytes]) => {
      writeFileSync(join(directory, name), bytes)
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      return { name, bytes: bytes.length, sha256 }
    }
  )
  const manifest = formatManifest({
    ...{ arch: 'amd64', version, epoch: released, released },
    ...{ files, packages: [], nodePackages: [] }
  })
  writeFileSync(join(directory, 'manifest.json'), manifest)
  if (secretKey !== undefined) {
    const signature = signManifest(parseSecretKey(secretKey), manifest, released)
    writeFileSync(join(directory, 'manifest.json.minisig'), signature)
  }
  return (JSON.parse(manifest) as { digest: string }).digest
}
