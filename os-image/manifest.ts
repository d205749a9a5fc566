import { sealManifest, UNSET_DIGEST } from '../src/machine/os-image/manifest-digest.ts'
import type { Arch, BuildPackage } from './package-lock.ts'
import type { NodePackage } from './node-packages.ts'

export interface ManifestFile {
  readonly name: string
  readonly bytes: number
  /** Hexadecimal. */
  readonly sha256: string
}

export interface ManifestFields {
  readonly arch: Arch
  /** Version of the tool in it. */
  readonly version: string
  /** Seconds since 1970 that the files bear. */
  readonly epoch: number
  /** Seconds since 1970 when what it was built from was made: tells releases of one version apart. */
  readonly released: number
  readonly files: readonly ManifestFile[]
  readonly packages: readonly BuildPackage[]
  readonly nodePackages: readonly NodePackage[]
}

/** Version of the manifest's own shape. */
const FORMAT = 1

/**
 * `manifest.json`: `{format, name, version, arch, created, released, digest, files: [{name, bytes, sha256}], matchesLock, packages: [{name,
 * version, sha256, locked?}], nodePackages: [{name, version, license}]}`, sorted, so that equal builds are equal. `matchesLock` is false where
 * the archive had a package's locked version no longer; `locked` is that version.
 */
export function formatManifest(fields: ManifestFields): string {
  const { arch, version, epoch, released, files, packages, nodePackages } = fields
  const manifest = {
    format: FORMAT,
    name: 'hyperos',
    version,
    arch,
    created: new Date(epoch * 1000).toISOString(),
    released: new Date(released * 1000).toISOString(),
    digest: UNSET_DIGEST,
    files,
    matchesLock: packages.every(({ locked }) => locked === undefined),
    packages: packages.map(({ name, version, sha256, locked }) => ({
      ...{ name, version, sha256 },
      ...(locked === undefined ? {} : { locked })
    })),
    nodePackages: nodePackages.map(({ name, version, license }) => ({ name, version, license }))
  }
  return sealManifest(`${JSON.stringify(manifest, null, 2)}\n`)
}
