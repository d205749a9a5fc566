import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isContainerError } from '../../core/errors.ts'
import { formatKey, parseFullLink } from '../../p2p/link.ts'
import { installedFolder, readInstalled, type InstalledImage } from './installed-images.ts'
import { machineHome } from '../state/machine-paths.ts'
import { formatKeyId, parsePublicKey } from './minisign.ts'
import { findImage, hasImage, imagePlaces, type ImagePlace } from './os-image.ts'
import { readOsManifest } from './os-manifest.ts'

/** One HyperOS on this machine. */
export interface ListedImage {
  /** `current` and `previous` were installed by `machine upgrade`. */
  readonly kind: 'current' | 'previous' | Exclude<ImagePlace['kind'], 'installed'>
  /** Whether a machine starts it where no kernel is named. */
  readonly isStarted: boolean
  readonly path: string
  /** SHA-256 of its manifest; null where the manifest is damaged. */
  readonly digest: string | null
  readonly version: string | null
  readonly released: string | null
  readonly architecture: string | null
  /** The minisign key whose signature was checked when it was installed. */
  readonly signedBy: string | null
  readonly installedAt: string | null
  /** Key and version of the shared image that it came from. */
  readonly from: InstalledImage['from'] | null
  /** Size of all its files. */
  readonly bytes: number
}

/** The HyperOS images that a home can start, and where upgrades come from. */
export interface ImageList {
  readonly images: readonly ListedImage[]
  /** Key of the shared image that upgrades come from. */
  readonly upgradesFrom: string | null
  /** The minisign key that this home trusts, and its number. */
  readonly publicKey: string | null
  readonly publicKeyId: string | null
}

/**
 * Lists what HyperOS there is, in the order in which a start looks for one. Contents are not checked;
 * a start does that.
 *
 * @throws ContainerError `IO`
 */
export async function listImages(home: string): Promise<ImageList> {
  const { image: homeImage } = machineHome(home)
  const { current, previous, link, publicKey } = readInstalled(homeImage)
  const started = startedFolder(homeImage)
  const images: ListedImage[] = []
  const add = async (kind: ListedImage['kind'], path: string, facts?: InstalledImage) => {
    const told = facts ?? (await readFacts(path))
    const { digest = null, version = null, released = null, architecture = null } = told
    const { signedBy = null, installedAt = null, from = null } = facts ?? {}
    const isStarted = path === started
    const bytes = await bytesIn(path)
    images.push({
      ...{ kind, isStarted, path, digest, version, released, architecture },
      ...{ signedBy, installedAt, from, bytes }
    })
  }
  const others = imagePlaces(homeImage).filter(
    (place) => place.kind !== 'installed' && hasImage(place)
  )
  for (const { kind, path } of others) if (kind === 'environment') await add(kind, path)
  for (const [kind, facts] of Object.entries({ current, previous })) {
    if (facts === undefined) continue
    await add(kind as 'current' | 'previous', installedFolder(homeImage, facts.digest), facts)
  }
  for (const { kind, path } of others) {
    if (kind === 'built' || kind === 'home') await add(kind, path)
  }
  const key = publicKey === undefined ? undefined : parsePublicKey(publicKey)
  return {
    images,
    upgradesFrom: link === undefined ? null : formatKey(parseFullLink(link).key),
    publicKey: key?.line ?? null,
    publicKeyId: key === undefined ? null : formatKeyId(key.keyId)
  }
}

function startedFolder(homeImage: string): string | undefined {
  try {
    return findImage(homeImage)
  } catch (error) {
    if (isContainerError(error, 'NOT_FOUND')) return undefined
    throw error
  }
}

async function readFacts(path: string): Promise<Partial<InstalledImage>> {
  try {
    const {
      digest,
      version = null,
      released = null,
      architecture = null
    } = await readOsManifest(path)
    return { digest, version, released, architecture }
  } catch (error) {
    if (isContainerError(error, 'BAD_MANIFEST')) return {}
    throw error
  }
}

async function bytesIn(path: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(path, { withFileTypes: true }).catch(() => [])) {
    if (entry.isFile()) bytes += (await stat(join(path, entry.name))).size
  }
  return bytes
}
