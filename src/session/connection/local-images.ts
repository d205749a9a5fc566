import { asBuffer } from '../../core/as-buffer.ts'
import { CHUNK_HASH_BYTES } from '../../image/tree/content-batch.ts'
import { DaemonClient } from './client.ts'
import { openHome } from '../../home/home.ts'
import { ImageReference } from '../../p2p/link.ts'
import { METHODS, type ImageRole } from '../../rpc/protocol.ts'

export interface LocalImage {
  readonly key: string
  readonly link: ImageReference
}

/** How to open an image as far as it is here, without looking for peers. */
export const LOCAL_ONLY = { offline: true, lazyOnly: true, peerTimeoutMs: 1000 } as const

/** How many images, the latest, are compared with one. */
const MOST_IMAGES = 16

/** Lists the images of this home that it can read and whose role is among `roles`, the latest first, at most 16. */
export async function localImages(
  home: string,
  roles: readonly ImageRole[]
): Promise<LocalImage[]> {
  using client = await DaemonClient.connect(openHome(home))
  const images = await client.request(METHODS.images, null)
  return images
    .toSorted((a, b) => b.createdAt.localeCompare(a.createdAt))
    .flatMap(({ role, key, link }) =>
      link !== null && roles.includes(role) ? [{ key, link: ImageReference.parse(link) }] : []
    )
    .slice(0, MOST_IMAGES)
}

/** Converts packed content hashes to one text per chunk, for comparing and as map keys. */
export function hashTexts(packed: Uint8Array): string[] {
  const bytes = asBuffer(packed)
  return Array.from({ length: bytes.length / CHUNK_HASH_BYTES }, (_, n) =>
    bytes.toString('latin1', n * CHUNK_HASH_BYTES, (n + 1) * CHUNK_HASH_BYTES)
  )
}
