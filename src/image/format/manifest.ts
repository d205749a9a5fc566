/** What `/container.json` holds: everything about an image that is not in its tree. */
export const MANIFEST_FORMAT = 'dat-container'
export const MANIFEST_FORMAT_VERSION = 1
/** Path of the manifest in the drive. Its block is the last one a publish appends. */
export const MANIFEST_PATH = '/container.json'

/** Where a packed, compressed part of the image lies in the blobs core. */
export interface PartPointer {
  /** First block; the part's blocks are consecutive. */
  readonly block: number
  readonly blocks: number
  /** Bytes of those blocks together. */
  readonly storedBytes: number
  /** Bytes after decompression. */
  readonly bytes: number
  /** `sha256:` and the hex digest of the stored bytes. */
  readonly digest: string
}

/** Where a part is; with `base`, it holds what differs from that part of an earlier version. */
export interface DifferencePointer extends PartPointer {
  /** Has no base itself. */
  readonly base?: PartPointer
}

/** How a container of this image starts. */
export interface StartCommand {
  /** `boot`: run the image's init as PID 1. `process`: run `argv`. */
  readonly mode: 'boot' | 'process'
  readonly argv?: readonly string[]
  /** How many words of `argv` are the program and what it always gets; the rest are its defaults. */
  readonly entrypoint?: number
  readonly env?: readonly string[]
  readonly cwd?: string
  readonly user?: string
  readonly stopSignal?: string
  readonly exposedPorts?: readonly string[]
  /** Directories that the image's publisher meant to be kept outside of it. */
  readonly volumes?: readonly string[]
  readonly healthcheck?: Healthcheck
  readonly labels?: Readonly<Record<string, string>>
}

/** How to learn whether a container is well, as Docker has it. */
export interface Healthcheck {
  /** `CMD` and an argv, `CMD-SHELL` and a line, or `NONE`. */
  readonly test: readonly string[]
  readonly intervalMs?: number
  readonly timeoutMs?: number
  readonly startPeriodMs?: number
  readonly retries?: number
}

/** One published version, oldest first in {@link Manifest.versions}. */
export interface VersionRecord {
  /** 1 for the first publish of a drive. */
  readonly version: number
  /** Length of the blobs core after this version's manifest block. */
  readonly blocks: number
  readonly created: string
  readonly message?: string
  readonly files: number
  readonly bytes: number
  /** Stored bytes this version added. */
  readonly newBytes: number
}

export interface Manifest {
  readonly format: typeof MANIFEST_FORMAT
  readonly formatVersion: typeof MANIFEST_FORMAT_VERSION
  readonly version: number
  readonly name: string
  readonly description?: string
  /** As Debian and Go name it: `amd64`, `arm64`. */
  readonly arch: string
  readonly os: 'linux'
  /** ISO 8601, UTC. */
  readonly created: string
  readonly source: { readonly kind: string }
  readonly start: StartCommand
  /** Regular files, hardlinks counted once. */
  readonly files: number
  /** Directory entries of every type. */
  readonly entries: number
  /** Content bytes of all files, holes included. */
  readonly bytes: number
  /** Stored bytes of all distinct chunks of this version. */
  readonly storedBytes: number
  readonly chunks: number
  readonly index: DifferencePointer
  /** Content hash of every chunk, for publishers that want to reuse chunks; readers skip it. */
  readonly chunkHashes: DifferencePointer
  readonly profile?: PartPointer
  readonly versions: readonly VersionRecord[]
}

/** All that a version has besides its content. */
export function manifestParts({ index, chunkHashes, profile }: Manifest): PartPointer[] {
  return [index, index.base, chunkHashes, chunkHashes.base, profile].filter(
    (part) => part !== undefined
  )
}
