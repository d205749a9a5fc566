import type { CatalogEntry } from '../catalog/image-catalog.ts'

/** Whether an image may ever be evicted: it only came by being read, and nobody asked to keep it. */
export function mayBeEvicted(
  entry: Pick<CatalogEntry, 'role' | 'follow' | 'kept' | 'pinned' | 'publishing' | 'temporary'>
): boolean {
  return (
    entry.role === 'reader' &&
    !entry.follow &&
    entry.kept === undefined &&
    entry.pinned !== true &&
    entry.temporary !== true &&
    !entry.publishing
  )
}

/** Sorts images in the order of their eviction: complete ones first, and of each kind the least recently used first. */
export function evictionOrder<
  Image extends { readonly isComplete: boolean; readonly usedMs: number }
>(images: readonly Image[]): Image[] {
  return images.toSorted(
    (one, other) => Number(other.isComplete) - Number(one.isComplete) || one.usedMs - other.usedMs
  )
}
