import type { BlobStore } from './blob-store.ts'

/** In what `skopeo copy … dir:DIRECTORY` writes. */
export const VERSION_FILE = 'version'
const VERSION = /^Directory Transport Version: /
export const MAX_VERSION_BYTES = 64

/** Whether these files are an image in the form that skopeo calls `dir:`. */
export async function isSkopeoDirectory(store: BlobStore): Promise<boolean> {
  const size = await store.size(VERSION_FILE)
  if (size === undefined || size > MAX_VERSION_BYTES) return false
  const pieces: Buffer[] = []
  for await (const piece of store.read(VERSION_FILE)) pieces.push(piece)
  return isSkopeoVersion(Buffer.concat(pieces))
}

/** {@link isSkopeoDirectory} of the version's content. */
export function isSkopeoVersion(content: Buffer): boolean {
  return VERSION.test(content.toString('latin1'))
}
