import { ContainerError } from '../../core/errors.ts'
import type { JsonFields } from '../../core/json-fields.ts'
import { MAX_JSON_BYTES, readJson } from './blob.ts'
import type { BlobStore } from './blob-store.ts'
import { withDiffIds } from './container-image.ts'
import type { ContainerImage } from './container-image.ts'
import { MAX_LAYERS, readImageConfig } from './image-config.ts'
import { badImage } from './image-error.ts'
import { noPlatform } from './oci-layout.ts'
import type { ChooseOptions } from './oci-layout.ts'
import { platformRank } from './platform.ts'

const MAX_IMAGES = 1024
const LINE = 4096
const TAGS = { items: 1024, length: LINE }
const HEX_NAME = /(?:^|[/:])([0-9a-f]{64})(?:\.json)?$/

/**
 * Finds an image in what `docker save` writes, and `skopeo copy … docker-archive:` too.
 *
 * @throws ContainerError `BAD_SOURCE`, `NOT_FOUND` for an image or a platform that is not there, `IO`
 * @see the Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format"
 */
export async function findDockerImage(
  store: BlobStore,
  { tag, platform }: ChooseOptions = {}
): Promise<ContainerImage> {
  const document = await readJson(store, { name: 'manifest.json' })
  const image = choose(document.objects('items', MAX_IMAGES), tag)
  const configName = image.line('Config', LINE)
  // The name is the digest; a few programs call it otherwise.
  const hex = HEX_NAME.exec(configName)?.[1]
  const config = readImageConfig(
    await readJson(
      store,
      {
        name: configName,
        ...(hex === undefined ? {} : { digest: `sha256:${hex}` })
      },
      'its config'
    )
  )
  if (platform !== undefined && platformRank(config.platform, platform) === 0) {
    throw noPlatform(platform, [config.platform])
  }
  const layers = image
    .texts('Layers', { items: MAX_LAYERS, length: LINE })
    .map((name) => ({ name }))
  return { kind: 'docker-archive', store, config, layers: withDiffIds(layers, config) }
}

/** Whether `manifest.json` is what these archives have, not another file of that name. */
export async function isDockerManifest(store: BlobStore): Promise<boolean> {
  const name = 'manifest.json'
  if (((await store.size(name)) ?? Infinity) > MAX_JSON_BYTES) return false
  const pieces: Buffer[] = []
  for await (const piece of store.read(name)) pieces.push(piece)
  return isDockerManifestText(Buffer.concat(pieces))
}

/** {@link isDockerManifest} of its content. */
export function isDockerManifestText(content: Buffer): boolean {
  try {
    const images: unknown = JSON.parse(content.toString())
    if (!Array.isArray(images) || images.length === 0) return false
    return images.every((image) => {
      const { Config, Layers } = (image ?? {}) as { Config?: unknown; Layers?: unknown }
      return typeof Config === 'string' && Array.isArray(Layers)
    })
  } catch {
    return false
  }
}

function choose(images: readonly JsonFields[], tag: string | undefined): JsonFields {
  const tagsOf = (image: JsonFields): string[] =>
    image.has('RepoTags') ? image.texts('RepoTags', TAGS) : []
  const list = images.flatMap(tagsOf).join(', ') || 'none with a tag'
  const found = tag === undefined ? images : images.filter((image) => hasTag(tagsOf(image), tag))
  const [image] = found
  if (image === undefined) {
    if (tag === undefined) throw badImage('it holds none')
    throw new ContainerError('NOT_FOUND', `there is no image ${JSON.stringify(tag)} in it`, {
      hint: `there is: ${list}`
    })
  }
  if (found.length > 1) {
    throw new ContainerError('USAGE', `the archive holds several images: ${list}`, {
      hint: 'name one, as in docker-archive:FILE:NAME:TAG'
    })
  }
  return image
}

/** `debian:12` names `…/library/debian:12` too. */
function hasTag(tags: readonly string[], wanted: string): boolean {
  const full = /:[^/]*$/.test(wanted) ? wanted : `${wanted}:latest`
  return tags.some((tag) => tag === full || tag.endsWith(`/${full}`))
}
