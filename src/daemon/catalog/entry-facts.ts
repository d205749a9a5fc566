import { ContainerError } from '../../core/errors.ts'
import type { PeerAddress } from '../../p2p/peer-address.ts'
import type { CatalogEntry } from './image-catalog.ts'

/** Chooses the peers to note for an image: the newest link's are the ones to believe. */
export function knownPeers(
  peers: readonly PeerAddress[],
  known: CatalogEntry | undefined
): Pick<CatalogEntry, 'peers'> {
  const kept = peers.length > 0 ? peers : known?.peers
  return kept === undefined ? {} : { peers: kept }
}

/** How the drive of an image is opened. */
export function roleOf(entry: CatalogEntry | undefined): 'owner' | 'reader' | 'alone' {
  if (entry?.temporary) return 'alone'
  return entry?.role === 'owner' ? 'owner' : 'reader'
}

/** As what this machine has one of two histories of an image; null where there is one alone. */
export function forkOf(entry: CatalogEntry | undefined): 'owner' | 'reader' | null {
  if (entry?.forked !== true) return null
  return entry.role === 'owner' ? 'owner' : 'reader'
}

/** The entry of an image without what a mirror keeps of it, which each request decides anew. */
export function withoutShare(known: CatalogEntry | undefined): Partial<CatalogEntry> {
  const { held: _held, quota: _quota, byChannel: _why, ...rest } = known ?? {}
  return rest
}

/** Makes the error for mirroring one version of an image. */
export function cannotTellVersions(): ContainerError {
  return new ContainerError('USAGE', 'a mirror cannot tell the versions of an image apart', {
    hint: 'leave the @version out: with --hold, the mirror keeps what there is now; `seed` keeps one version of an image that this machine can read'
  })
}
