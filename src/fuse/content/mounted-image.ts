import type { ChunkReader } from '../../image/chunk/chunk-reader.ts'
import type { ContainerError } from '../../core/errors.ts'
import type { ReadObserver } from '../../image/chunk/recording-reader.ts'
import type { Tree } from '../../image/tree/tree.ts'

/** `erofs`: the kernel serves the tree from a metadata image. `fuse`: this program answers for every name. */
export type MountMode = 'erofs' | 'fuse'

/** What a mount serves. */
export interface MountContent {
  readonly tree: Tree
  readonly chunks: ChunkReader
  /** Chunks of a recorded start: sequential reads of those are not read ahead of. */
  readonly foreseen?: ReadonlySet<number> | undefined
}

export interface MountImageOptions {
  /**
   * Asked for by the mount, or where it takes a kept metadata image by {@link MountedImage.serve};
   * gives the same where `auto` falls back and asks again.
   */
  readonly content: () => Promise<MountContent>
  /** An existing empty directory (mode 0700) that this mount may fill; emptied again on dispose. */
  readonly directory: string
  /** `auto` takes `erofs` where the kernel has it. @default 'auto' */
  readonly mode?: MountMode | 'auto'
  /** How EROFS reaches its files: as they are, or through loop devices. @default 'auto' */
  readonly erofsBacking?: 'file' | 'loop' | 'auto'
  /** Who talks to the kernel about the data device. @default 'auto' */
  readonly deviceTransport?: 'channel' | 'fuse-native' | 'auto'
  /** Is told of what the kernel reads. */
  readonly observer?: ReadObserver | undefined
  /** Where the metadata image of this very tree may have been kept. @default it is made */
  readonly keptMetadata?: string
  readonly signal?: AbortSignal
}

/** What another process needs to go on serving a mount when this one has died. */
export interface Heirloom {
  /** Descriptor of /dev/fuse; as long as it is open anywhere, reads wait for answers. */
  readonly device: number
  /** Size of the data device in blocks; 0 where there is none. */
  readonly blocks: number
}

/** A mounted tree; disposing unmounts (lazily where busy) and detaches loop devices. */
export interface MountedImage extends AsyncDisposable {
  readonly rootfs: string
  readonly mode: MountMode
  /** The metadata image of EROFS, where it was made for this mount; goes with it. */
  readonly metadata?: string
  /** Undefined where no other process can go on: before Linux 6.9, and where libfuse serves. */
  readonly heirloom?: Heirloom
  /** Why `auto` did not take `erofs`. */
  readonly fallbackReason?: ContainerError
  /** Asks for the content where the mount could do without; reads of files wait for that. */
  serve(): Promise<void>
  /**
   * Has the kernel read these chunks before anybody needs them, in this order, until disposed; does
   * nothing where the kernel asks for files rather than a device. They should be here.
   */
  preload(chunks: readonly number[]): Promise<void>
}
