import { badArchive } from '../tar/tar-error.ts'
import type { TarEntry } from '../tar/tar-reader.ts'

/** An entry of a layer that speaks of the layers below it. */
export type Whiteout =
  /** What they have at `path` is gone. */
  | { readonly kind: 'remove'; readonly path: Buffer }
  /** What they have in the directory `path` is gone. */
  | { readonly kind: 'opaque'; readonly path: Buffer }
  /** Book-keeping of a storage driver, which is no part of the image. */
  | { readonly kind: 'none' }

const PREFIX = Buffer.from('.wh.')
const DRIVER_PREFIX = '.wh..wh.'
const OPAQUE = '.wh..wh..opq'
/** In the root of layers that AUFS made: the files that have several names, which are hardlinks into it. */
export const AUFS_LINKS = '.wh..wh.plnk'
const SLASH = 0x2f

/**
 * Reads a whiteout, or returns undefined for an entry that is what it seems.
 *
 * @throws ContainerError `BAD_SOURCE` for one that names nothing
 * @see OCI image-spec, layer.md, "Whiteouts"
 */
export function readWhiteout({ path }: TarEntry): Whiteout | undefined {
  if (!path.includes(PREFIX)) return undefined
  let end = path.length
  while (end > 0 && path[end - 1] === SLASH) end--
  const trimmed = path.subarray(0, end)
  const start = trimmed.lastIndexOf(SLASH) + 1
  const directory = trimmed.subarray(0, start)
  const names = trimmed.toString('latin1').split('/')
  const name = names.at(-1)!
  if (name === OPAQUE) return { kind: 'opaque', path: directory }
  const first = names.find((part) => part !== '' && part !== '.')
  if (first === AUFS_LINKS) return undefined
  if (names.some((part) => part.startsWith(DRIVER_PREFIX))) return { kind: 'none' }
  if (!name.startsWith('.wh.')) return undefined
  const removed = trimmed.subarray(start + PREFIX.length)
  if (['', '.', '..'].includes(removed.toString('latin1'))) {
    throw badArchive(`${path.toString()} is a whiteout of no name`)
  }
  return { kind: 'remove', path: Buffer.concat([directory, removed]) }
}
