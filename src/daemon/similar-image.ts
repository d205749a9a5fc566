import type { InspectedImage } from './image-session.ts'
import { hashTexts, LOCAL_ONLY, localImages } from './local-images.ts'
import { openImage } from './open-image.ts'

/** Another image of this home that an image has most in common with. */
export interface SimilarImage {
  readonly name: string
  readonly version: number
  readonly key: string
  /** How many of the image's chunks the other one holds too. */
  readonly commonChunks: number
  readonly chunks: number
  /** Stored bytes of those. */
  readonly commonBytes: number
}

/** Fewer chunks in common than this part is no likeness. */
const LEAST_COMMON = 0.5

/**
 * Looks among the images that this home publishes for one that has at least half of an image's chunks
 * in its newest version. Images are logs of their own and share no blocks, so this tells a publisher
 * what a version of the other one would have saved.
 *
 * @param link of the image, all of which is on this machine
 * @returns the one with the most in common
 * @throws ContainerError as {@link openImage}
 */
export async function findSimilarImage(
  home: string,
  link: string,
  signal?: AbortSignal
): Promise<SimilarImage | undefined> {
  const others = await localImages(home, ['owner'])
  if (others.length < 2) return undefined
  await using image = await openImage({ home, link, ...LOCAL_ONLY, ...(signal ? { signal } : {}) })
  const hashes = hashTexts(await image.chunkHashes(signal))
  let best: SimilarImage | undefined
  for (const { key, link: otherLink } of others) {
    if (key === image.key) continue
    await using other = await openImage({ home, link: otherLink, ...LOCAL_ONLY })
    const known = new Set(hashTexts(await other.chunkHashes(signal)))
    const common = hashes.flatMap((hash, chunk) => (known.has(hash) ? [chunk] : []))
    const { name, version } = other.manifest
    if (common.length < hashes.length * LEAST_COMMON) continue
    if (common.length <= (best?.commonChunks ?? 0)) continue
    const commonBytes = storedBytes(image, common)
    best = { name, version, key, commonChunks: common.length, chunks: hashes.length, commonBytes }
  }
  return best
}

function storedBytes({ tree }: InspectedImage, chunks: readonly number[]): number {
  return chunks.reduce((sum, chunk) => sum + (tree.chunks.storedBytes[chunk] ?? 0), 0)
}
