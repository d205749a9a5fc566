import { ContainerError } from '../../core/errors.ts'
import type { JsonFields } from '../../core/json-fields.ts'
import { checkDigest, readJson } from './blob.ts'
import type { Blob } from './blob.ts'
import type { BlobStore } from './blob-store.ts'
import { withDiffIds } from './container-image.ts'
import type { ContainerImage } from './container-image.ts'
import { MAX_LAYERS, readImageConfig, readPlatform } from './image-config.ts'
import type { ImageConfig } from './image-config.ts'
import { badImage } from './image-error.ts'
import { checkLayerType, INDEX_TYPES, isConfigType, MANIFEST_TYPES } from './media-types.ts'
import { hostPlatform, platformRank, platformText } from './platform.ts'
import type { Platform } from './platform.ts'

export interface ChooseOptions {
  /** Which image, by its tag, where there are several. */
  readonly tag?: string
  /** @default this machine's, or whichever there is if it is the only one */
  readonly platform?: Platform
}

interface Descriptor extends Blob {
  readonly digest: string
  readonly size: number
  readonly mediaType: string
  readonly platform?: Platform
  readonly tag?: string
  readonly fields: JsonFields
}

/** An image of one platform. */
interface Candidate {
  readonly manifest: Descriptor
  /** Undefined where only its config says. */
  readonly platform: Platform | undefined
}

const TAG = 'org.opencontainers.image.ref.name'
/** Where an image named in full has its name, of which the tag is only the end. */
const FULL_NAME = 'io.containerd.image.name'
/** Annotation of a manifest that makes a statement about another one. */
const ATTESTATION = 'vnd.docker.reference.type'
const MAX_MANIFESTS = 4096
/** Indexes in indexes are allowed; nobody makes more than two. */
const MAX_NESTING = 8
const LINE = 4096

/**
 * Finds an image in an OCI layout: follows its index to the manifest of the platform.
 *
 * @throws ContainerError `BAD_SOURCE`, `NOT_FOUND` for a tag or a platform that is not there, `IO`
 * @see OCI image-spec, image-layout.md, image-index.md and manifest.md
 */
export async function findOciImage(
  store: BlobStore,
  kind: ContainerImage['kind'],
  options: ChooseOptions = {}
): Promise<ContainerImage> {
  const layout = await readJson(store, { name: 'oci-layout' })
  const version = layout.line('imageLayoutVersion', LINE)
  if (!version.startsWith('1.')) {
    throw badImage(`its layout has version ${version}`, 'this release reads version 1')
  }
  const top = withTag(descriptors(await readJson(store, { name: 'index.json' })), options.tag)
  const candidates = await flatten(store, top)
  const { manifest, config } = await choose(store, candidates, options.platform)
  const layers = manifest.objects('layers', MAX_LAYERS).map((fields) => {
    const descriptor = readDescriptor(fields)
    checkLayerType(descriptor.mediaType)
    return blobOf(descriptor)
  })
  return { kind, store, config, layers: withDiffIds(layers, config) }
}

function descriptors(index: JsonFields): Descriptor[] {
  return index.objects('manifests', MAX_MANIFESTS).map(readDescriptor)
}

function readDescriptor(fields: JsonFields): Descriptor {
  const digest = checkDigest(fields.line('digest', LINE))
  const annotations = fields.has('annotations') ? fields.object('annotations') : undefined
  const annotation = (name: string): string | undefined =>
    annotations?.has(name) ? annotations.line(name, LINE) : undefined
  const tag = annotation(TAG) ?? annotation(FULL_NAME)
  return {
    name: `blobs/${digest.replace(':', '/')}`,
    digest,
    size: fields.count('size'),
    mediaType: fields.line('mediaType', LINE),
    ...(fields.has('platform') ? { platform: readPlatform(fields.object('platform')) } : {}),
    ...(tag === undefined ? {} : { tag }),
    fields
  }
}

function blobOf({ name, digest, size }: Descriptor): Blob {
  return { name, digest, size }
}

function withTag(all: readonly Descriptor[], tag: string | undefined): readonly Descriptor[] {
  const tags = [...new Set(all.flatMap((descriptor) => descriptor.tag ?? []))]
  const list = tags.join(', ') || 'none with a tag'
  if (tag !== undefined) {
    const found = all.filter((descriptor) => descriptor.tag === tag)
    if (found.length > 0) return found
    throw new ContainerError('NOT_FOUND', `there is no image ${JSON.stringify(tag)} in it`, {
      hint: `there is: ${list}`
    })
  }
  if (tags.length > 1) {
    throw new ContainerError('USAGE', `the layout holds several images: ${list}`, {
      hint: 'name one, as in oci:DIR:TAG or oci-archive:FILE:TAG'
    })
  }
  return all
}

/** All manifests below indexes. The digests of what is read rule out cycles; depth and number are bounded. */
async function flatten(
  store: BlobStore,
  top: readonly Descriptor[]
): Promise<readonly Candidate[]> {
  const found: Candidate[] = []
  const pending = top.map((descriptor) => ({ descriptor, depth: 1 })).toReversed()
  const seen = new Set<string>()
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { descriptor, depth } = next
    if (seen.has(descriptor.digest)) continue
    seen.add(descriptor.digest)
    if (seen.size > MAX_MANIFESTS) throw badImage(`it has more than ${MAX_MANIFESTS} manifests`)
    if (INDEX_TYPES.has(descriptor.mediaType)) {
      if (depth >= MAX_NESTING) throw badImage('its indexes nest too deep')
      const inner = descriptors(await readJson(store, blobOf(descriptor), 'an index'))
      pending.push(...inner.map((entry) => ({ descriptor: entry, depth: depth + 1 })).toReversed())
    } else if (MANIFEST_TYPES.has(descriptor.mediaType) && !isAttestation(descriptor)) {
      found.push({ manifest: descriptor, platform: descriptor.platform })
    }
  }
  if (found.length > 0) return found
  const type = top[0]?.mediaType
  throw badImage(
    type === undefined ? 'it holds none' : `it holds no image manifest, only ${type}`,
    'older formats are brought up to date by skopeo copy'
  )
}

function isAttestation({ fields, platform }: Descriptor): boolean {
  if (platform?.os === 'unknown') return true
  return fields.has('annotations') && fields.object('annotations').has(ATTESTATION)
}

async function choose(
  store: BlobStore,
  candidates: readonly Candidate[],
  wanted: Platform | undefined
): Promise<{ manifest: JsonFields; config: ImageConfig }> {
  const [only] = candidates
  if (candidates.length === 1 && only !== undefined) {
    const chosen = await readImage(store, only.manifest)
    // Read from the config, which a descriptor only repeats.
    const { platform } = chosen.config
    if (wanted === undefined || platformRank(platform, wanted) > 0) return chosen
    throw noPlatform(wanted, [platform])
  }
  const platforms: Platform[] = []
  for (const { manifest, platform } of candidates) {
    platforms.push(platform ?? (await readImage(store, manifest)).config.platform)
  }
  const target = wanted ?? hostPlatform()
  const ranks = platforms.map((platform) => platformRank(platform, target))
  const best = ranks.indexOf(Math.max(...ranks))
  if (ranks[best] === 0) throw noPlatform(target, platforms)
  return readImage(store, candidates[best]!.manifest)
}

/** The error for a platform that none of an image's is. */
export function noPlatform(wanted: Platform, there: readonly Platform[]): ContainerError {
  const list = [...new Set(there.map(platformText))].toSorted().join(', ')
  return new ContainerError('NOT_FOUND', `the image is not for ${platformText(wanted)}`, {
    hint: `choose with --platform; it is for ${list}`
  })
}

async function readImage(
  store: BlobStore,
  descriptor: Descriptor
): Promise<{ manifest: JsonFields; config: ImageConfig }> {
  const manifest = await readJson(store, blobOf(descriptor), 'its manifest')
  const config = readDescriptor(manifest.object('config'))
  if (!isConfigType(config.mediaType, descriptor.mediaType)) {
    throw badImage(`it holds ${config.mediaType}, no container image`, 'give a container image')
  }
  return { manifest, config: readImageConfig(await readJson(store, blobOf(config), 'its config')) }
}
