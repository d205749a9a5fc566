import { isContainerError } from '../../core/errors.ts'
import { untilAborted } from '../../core/abort.ts'
import type { InspectedImage } from '../connection/image-session.ts'
import { hashTexts, LOCAL_ONLY, localImages } from '../connection/local-images.ts'
import type { ImageReference } from '../../p2p/link.ts'
import { openImage } from '../open/open-image.ts'

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

/** It is advice: nobody waits for it longer. */
const LIMIT_MS = 3_000

/**
 * Looks among the images that this home publishes for one that has at least half of an image's chunks
 * in its newest version. Images are logs of their own and share no blocks, so this tells a publisher
 * what a version of the other one would have saved. It never fails: an image that cannot be read is passed over,
 * and after some seconds what was found until then is the answer.
 *
 * @param link of an image that is entirely on this machine
 * @returns the one with the most in common
 */
export async function findSimilarImage(
  home: string,
  link: ImageReference
): Promise<SimilarImage | undefined> {
  const signal = AbortSignal.timeout(LIMIT_MS)
  const found: SimilarImage[] = []
  try {
    await untilAborted(compareAll(home, link, signal, found), signal)
  } catch (error) {
    if (!isContainerError(error) && !signal.aborted) throw error
  }
  return found.toSorted((a, b) => b.commonChunks - a.commonChunks)[0]
}

/** @param found is added to */
async function compareAll(
  home: string,
  link: ImageReference,
  signal: AbortSignal,
  found: SimilarImage[]
): Promise<void> {
  const others = await localImages(home, ['owner'])
  if (others.length < 2) return
  await using image = await openImage({ home, link, ...LOCAL_ONLY, signal })
  const hashes = hashTexts(await image.chunkHashes(signal))
  for (const other of others) {
    if (signal.aborted) return
    if (other.key === image.key) continue
    try {
      const similar = await compare(image, hashes, { home, link: other.link, signal })
      if (similar) found.push(similar)
    } catch {
      // Whatever is wrong with another one, it is no affair of this one's.
    }
  }
}

async function compare(
  image: InspectedImage,
  hashes: readonly string[],
  options: { readonly home: string; readonly link: ImageReference; readonly signal: AbortSignal }
): Promise<SimilarImage | undefined> {
  await using other = await openImage({ ...options, ...LOCAL_ONLY })
  const known = new Set(hashTexts(await other.chunkHashes(options.signal)))
  const common = hashes.flatMap((hash, chunk) => (known.has(hash) ? [chunk] : []))
  if (common.length === 0 || common.length < hashes.length * LEAST_COMMON) return undefined
  const { name, version } = other.manifest
  const commonBytes = storedBytes(image, common)
  return {
    ...{ name, version, key: other.key, chunks: hashes.length },
    ...{ commonChunks: common.length, commonBytes }
  }
}

function storedBytes({ tree }: InspectedImage, chunks: readonly number[]): number {
  return chunks.reduce((sum, chunk) => sum + (tree.chunks.storedBytes[chunk] ?? 0), 0)
}
