import { isContainerError } from '../../core/errors.ts'
import type { ChunkReader } from '../../image/chunk/chunk-reader.ts'
import { chunkHash } from '../../image/tree/content-batch.ts'
import type { InspectedImage, OpenImageOptions } from '../connection/image-session.ts'
import type { ImageReference } from '../../p2p/link.ts'
import { hashTexts, LOCAL_ONLY, localImages } from '../connection/local-images.ts'

type Open = (options: OpenImageOptions) => Promise<InspectedImage>

interface Donation {
  readonly image: InspectedImage
  readonly chunk: number
}

/**
 * Reads chunks that are missing here from other images of this home with the same content, and checks them against
 * the image's own hashes. Peers can tell from the missing requests what this machine had, so users must opt in.
 */
export class LocalChunkReuse implements AsyncDisposable {
  readonly #donors: readonly InspectedImage[]
  readonly #donations: ReadonlyMap<number, Donation>
  readonly #hashes: readonly string[]

  private constructor(
    donors: readonly InspectedImage[],
    donations: ReadonlyMap<number, Donation>,
    hashes: readonly string[]
  ) {
    this.#donors = donors
    this.#donations = donations
    this.#hashes = hashes
  }

  /**
   * Looks through the other images of a home.
   *
   * @param open opens one of those
   * @throws ContainerError as fetching the image's chunk hashes does
   */
  static async find(
    image: InspectedImage,
    home: string,
    open: Open,
    signal?: AbortSignal
  ): Promise<LocalChunkReuse> {
    const donors: InspectedImage[] = []
    const donations = new Map<number, Donation>()
    const hashes = hashTexts(await image.chunkHashes(signal))
    const held = await image.heldChunks()
    const wanted = new Map<string, number>()
    for (const [chunk, text] of hashes.entries()) if (held[chunk] === 0) wanted.set(text, chunk)
    for (const { key, link } of await localImages(home, ['owner', 'reader'])) {
      if (key === image.key || wanted.size === 0) continue
      const donor = await openDonor(open, home, link)
      if (donor === undefined) continue
      const found = donations.size
      await takeFrom(donor, wanted, donations)
      if (donations.size > found) donors.push(donor)
      else await donor[Symbol.asyncDispose]()
    }
    return new LocalChunkReuse(donors, donations, hashes)
  }

  has(chunk: number): boolean {
    return this.#donations.has(chunk)
  }

  /** Puts the donated chunks before another source of all of them. */
  before(source: ChunkReader): ChunkReader {
    return {
      read: async (chunk, signal) => (await this.#read(chunk)) ?? source.read(chunk, signal)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const donor of this.#donors) await donor[Symbol.asyncDispose]()
  }

  /** Undefined where there is none, or none any more. */
  async #read(chunk: number): Promise<Uint8Array | undefined> {
    const donation = this.#donations.get(chunk)
    if (donation === undefined) return undefined
    try {
      const content = await donation.image.chunks.read(donation.chunk)
      const [text] = hashTexts(chunkHash(content))
      return text === this.#hashes[chunk] ? content : undefined
    } catch (error) {
      // It was removed, or is damaged: the image's own peers have it.
      if (isContainerError(error)) return undefined
      throw error
    }
  }
}

async function openDonor(
  open: Open,
  home: string,
  link: ImageReference
): Promise<InspectedImage | undefined> {
  try {
    return await open({ home, link, ...LOCAL_ONLY })
  } catch (error) {
    // An image without its index on this machine has nothing to offer.
    if (isContainerError(error)) return undefined
    throw error
  }
}

/** Moves what the donor holds from `wanted` to `donations`. */
async function takeFrom(
  donor: InspectedImage,
  wanted: Map<string, number>,
  donations: Map<number, Donation>
): Promise<void> {
  const held = await donor.heldChunks()
  let texts: string[]
  try {
    texts = hashTexts(await donor.chunkHashes())
  } catch (error) {
    // Readers have no need of the hashes until now, so they may not be here.
    if (isContainerError(error)) return
    throw error
  }
  for (const [chunk, text] of texts.entries()) {
    const target = wanted.get(text)
    if (target === undefined || held[chunk] === 0) continue
    wanted.delete(text)
    donations.set(target, { image: donor, chunk })
  }
}
