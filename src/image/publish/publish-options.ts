import type { ChunkCompressors } from '../chunk/chunk-compressors.ts'
import type { PreviousVersion } from './chunk-store.ts'
import type { Manifest, StartCommand } from '../format/manifest.ts'
import type { PlacedProfile } from '../format/profile-places.ts'

export interface PublishProgress {
  readonly files: number
  readonly totalFiles: number
  /** Content bytes. */
  readonly bytes: number
  readonly totalBytes: number
  /** Stored bytes of this version's distinct chunks so far. */
  readonly storedBytes: number
  /** Stored bytes appended so far; the rest was there already. */
  readonly newBytes: number
}

export interface PublishOptions {
  readonly name: string
  readonly description?: string
  /** Kept in the version's record. */
  readonly message?: string
  /** Overrides what the source says or what is detected. */
  readonly arch?: string
  readonly start?: StartCommand
  /** @default now */
  readonly created?: Date
  /** A version in the same core, whose equal chunks are used again. */
  readonly previous?: PreviousVersion
  /** Its manifest, whose history is continued. */
  readonly previousManifest?: Manifest
  /** Its boot profile, which is carried over by files. */
  readonly previousProfile?: PlacedProfile
  /** Compression threads. @default one a processor, at most 8 */
  readonly threads?: number
  /** Threads that are already running; their owner ends them. */
  readonly compressors?: ChunkCompressors
  readonly onProgress?: (progress: PublishProgress) => void
  readonly signal?: AbortSignal
}
