import { MAX_PROFILE_CHUNKS, type BootProfile } from './boot-profile.ts'
import { lookupPath } from '../tree/lookup-path.ts'
import type { Tree } from '../tree/tree.ts'
import { walk } from '../tree/walk.ts'

/** Consecutive chunks of one file. */
export interface ProfilePlace {
  /** Relative to the root, bytes as in Linux. */
  readonly path: Uint8Array
  /** Place of the first chunk, in chunks from the file's start. */
  readonly position: number
  readonly count: number
}

/** A profile by files: it means something in other versions of the image too. */
export interface PlacedProfile {
  readonly places: readonly ProfilePlace[]
  /** How many of them had been touched when the container was ready. */
  readonly ready: number
}

/** Names the files that hold a profile's chunks. Goes through the whole tree. */
export function placeProfile(tree: Tree, { chunks, ready }: BootProfile): PlacedProfile {
  const holders = findHolders(tree, new Set(chunks))
  const paths = pathsOf(tree, new Set([...holders.values()].map(({ inode }) => inode)))
  const places: { path: Uint8Array; position: number; count: number }[] = []
  let readyPlaces = 0
  let last = { inode: -1, position: -1 }
  for (const [n, chunk] of chunks.entries()) {
    const holder = holders.get(chunk)
    const path = holder && paths.get(holder.inode)
    if (holder !== undefined && path !== undefined) {
      const place = places.at(-1)
      const goesOn = last.inode === holder.inode && last.position + 1 === holder.position
      // A place does not span the mark.
      if (place !== undefined && goesOn && n !== ready) place.count++
      else places.push({ path, position: holder.position, count: 1 })
      last = holder
    }
    if (n < ready) readyPlaces = places.length
  }
  return { places, ready: readyPlaces }
}

/** The chunks that some places hold in this tree; what is no file here, or shorter, is left out. */
export function chunksAtPlaces(tree: Tree, { places, ready }: PlacedProfile): BootProfile {
  const chunks = new Set<number>()
  let readyChunks = 0
  for (const [n, { path, position, count }] of places.entries()) {
    if (n === ready) readyChunks = chunks.size
    const inode = lookupPath(tree, path)
    if (inode === undefined || tree.type(inode) !== 'file') continue
    for (const extent of tree.extents(inode)) {
      const from = Math.max(position, extent.position)
      const to = Math.min(position + count, extent.position + extent.count)
      for (let at = from; at < to && chunks.size < MAX_PROFILE_CHUNKS; at++) {
        chunks.add(extent.chunk + at - extent.position)
      }
    }
  }
  return { chunks: [...chunks], ready: ready >= places.length ? chunks.size : readyChunks }
}

interface Holder {
  readonly inode: number
  readonly position: number
}

/** Finds, for each chunk that is wanted, the first file that has it. */
export function findHolders(tree: Tree, wanted: ReadonlySet<number>): Map<number, Holder> {
  const holders = new Map<number, Holder>()
  for (let inode = 0; inode < tree.inodeCount && holders.size < wanted.size; inode++) {
    for (const { position, chunk, count } of tree.extents(inode)) {
      for (let n = 0; n < count; n++) {
        if (!wanted.has(chunk + n) || holders.has(chunk + n)) continue
        holders.set(chunk + n, { inode, position: position + n })
      }
    }
  }
  return holders
}

/** One path of each inode that is wanted. */
export function pathsOf(tree: Tree, wanted: ReadonlySet<number>): Map<number, Buffer> {
  const paths = new Map<number, Buffer>()
  if (wanted.size === 0) return paths
  for (const { path, inode } of walk(tree)) {
    if (wanted.has(inode) && !paths.has(inode)) paths.set(inode, path)
    if (paths.size === wanted.size) break
  }
  return paths
}
