import type { Link } from '../../p2p/link.ts'
import type { ChannelEntry } from './channel-catalog.ts'
import type { TakenRecord } from './channel-listing.ts'

/** Images of a channel, the latest, of which the version is remembered. */
const MOST_IMAGES = 64

/**
 * Tells whether a link names an older version than the channel named before of the same image.
 *
 * @param knownVersion newest version that this home knows of an image, by its key in hex
 * @returns the version that was named before; undefined where this is no older one
 */
export function rollbackIn(
  { images }: ChannelEntry,
  { key, version }: Link,
  knownVersion: (key: string) => number | null
): number | undefined {
  const hex = key.toString('hex')
  const before = images.find((image) => image.key === hex)
  if (before === undefined || version === undefined) return undefined
  const seen = Math.max(before.version, before.newest ? (knownVersion(hex) ?? 0) : 0)
  return version < seen ? seen : undefined
}

/** Notes in the entry of a channel that a record of it was taken. @returns the same entry where nothing is new */
export function afterTaking(entry: ChannelEntry, { number, link }: TakenRecord): ChannelEntry {
  const key = link.key.toString('hex')
  const before = entry.images.find((image) => image.key === key)
  const newest = link.version === undefined
  const named = { key, version: link.version ?? before?.version ?? 0, newest }
  const last = entry.images.at(-1)
  if (
    entry.seen === number &&
    last?.key === key &&
    last.version === named.version &&
    last.newest === newest
  ) {
    return entry
  }
  const others = entry.images.filter((image) => image.key !== key)
  return { ...entry, seen: number, images: [...others, named].slice(-MOST_IMAGES) }
}
