import { sealManifest, UNSET_DIGEST } from '../src/machine/manifest-digest.ts'
import type { Arch, LockedPackage } from './package-lock.ts'
import type { NodePackage } from './node-packages.ts'

export interface ManifestFile {
  readonly name: string
  readonly bytes: number
  /** Hexadecimal. */
  readonly sha256: string
}

export interface ManifestFields {
  readonly arch: Arch
  /** Seconds since 1970. */
  readonly epoch: number
  readonly files: readonly ManifestFile[]
  readonly packages: readonly LockedPackage[]
  readonly nodePackages: readonly NodePackage[]
}

/** Of the manifest's own shape. */
const FORMAT = 1

/**
 * `manifest.json`: `{format, name, arch, created, digest, files: [{name, bytes, sha256}], packages: [{name,
 * version, sha256}], nodePackages: [{name, version, license}]}`, sorted, so that equal builds are equal.
 */
export function formatManifest(fields: ManifestFields): string {
  const { arch, epoch, files, packages, nodePackages } = fields
  const manifest = {
    format: FORMAT,
    name: 'hyperos',
    arch,
    created: new Date(epoch * 1000).toISOString(),
    digest: UNSET_DIGEST,
    files,
    packages: packages.map(({ name, version, sha256 }) => ({ name, version, sha256 })),
    nodePackages: nodePackages.map(({ name, version, license }) => ({ name, version, license }))
  }
  return sealManifest(`${JSON.stringify(manifest, null, 2)}\n`)
}
