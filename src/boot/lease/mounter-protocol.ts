import type { ImageNews, OpenImageOptions } from '../../session/connection/image-session.ts'
import type { MountMode } from '../../fuse/content/mounted-image.ts'
import type { BootProfile } from '../../image/format/boot-profile.ts'
import type { StartCommand } from '../../image/format/manifest.ts'
import type { ErrorRecord } from '../../core/error-record.ts'
import type { FiguresOrNull } from './mount-figures.ts'
import type { Interval } from '../state/intervals.ts'
import type { WayServed } from '../state/paths.ts'
import type { StartMarks } from '../state/container-record.ts'
import type { MountTrace } from './mount-trace.ts'
import type { Waiting } from './stall-watch.ts'
import * as v from 'valibot'
import { count, type Shape } from '../../core/record-format.ts'

/** The request that a mounter reads from its standard input, because the link must not appear in an argument list. */
export type MounterRequest = Omit<OpenImageOptions, 'signal'> &
  WayServed & {
    /** Somebody wants to record the start: the image goes as soon as that one does. */
    readonly record?: boolean
    /** Go on for a mounter that has died, with the descriptors of its standby process. */
    readonly takeOver?: TakeOver
  }

/** Selects the fields of a mounter's request that concern opening the image. */
export function toOpen(request: MounterRequest): Omit<OpenImageOptions, 'signal'> {
  const { mode: _mode, record: _record, idBase: _idBase, ...rest } = request
  const { escaped: _escaped, takeOver: _takeOver, ...open } = rest
  return open
}

/** Facts about a mount that its `MounterState` lacks, for a successor. */
export interface TakeOver {
  /** Name of the directory of the mount. */
  readonly mount: string
  readonly blocks: number
}

/** One image version, mounted. */
export interface MountFacts {
  /** Canonical full link, with version. */
  readonly link: string
  readonly key: string
  readonly version: number
  readonly rootfs: string
  readonly mode: MountMode
  /** The image's name, architecture and how it starts, from its manifest. */
  readonly image: string
  readonly arch: string
  readonly start: StartCommand
  /** The mounter's process id. */
  readonly pid: number
  /** The image holds devices 0:0 or attributes of overlayfs; a container needs it served `escaped`. */
  readonly hasOverlayMarks?: boolean
}

/** Figures of a mounted image. */
export interface MountStats extends FiguresOrNull {
  /** Reads of content that the kernel passed to the mounter: none for what is in its page cache. */
  readonly kernelReads: number
  /** The cause of reads that have waited for more than a second; null if none has. */
  readonly waiting: Waiting | null
}

/**
 * The greeting of a mounter on its standard output, one line: which socket to lease from (its own, or that
 * of the mounter which already has this image version), or why there is none.
 */
export type MounterGreeting =
  | { readonly socket: string; readonly news?: ImageNews | undefined }
  | { readonly error: ErrorRecord }

/** Permissions of an image's files where it is mounted at a directory. */
export interface BindPowers {
  /** Setuid and setgid programs, and those with file capabilities, run as what they say. @default false */
  readonly suid?: boolean
  /** Device nodes open devices. @default false */
  readonly dev?: boolean
}

/** A container is up. */
export interface ContainerReady {
  /** Its init has said so. */
  readonly isStarted: boolean
  /** Whose start has ended, and when it got where. Runners of earlier releases do not say it. */
  readonly start?: {
    readonly container: string
    readonly mode: 'boot' | 'process'
    readonly marks: StartMarks
  }
}

/** Requests on a mounter's socket. A connection is a lease from its first byte to its end. */
export interface MounterMethods {
  /** Answered once the image is mounted. */
  mount: { params: null; result: MountFacts }
  stats: { params: null; result: MountStats }
  /**
   * The container is up. With `isStarted` its start has ended: what is touched from now on is no part
   * of it. A command does not tell when its start ends.
   */
  ready: { params: ContainerReady; result: null }
  /** Reports what happened between two times of `monotonicMs`. */
  trace: { params: { within: Interval }; result: MountTrace }
  /** Whether what was touched so far is all the asker's: nobody else has leased this mount yet. */
  claimRecording: { params: null; result: boolean }
  /**
   * Ends the recording and tells it; `keep` makes it this home's profile of what was run. Asked
   * again, it tells the same.
   */
  endRecording: { params: { keep: boolean }; result: BootProfile }
  /** Shows the image read-only at `target` until unbound or unmounted by hand. */
  bind: { params: { target: string } & BindPowers; result: null }
  unbind: { params: { target: string }; result: null }
}

export interface WireRequest {
  readonly id: number
  readonly method: keyof MounterMethods
  readonly params: unknown
}

export type WireResponse =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: ErrorRecord }

/** The state file of a mounter, for `sweep` and for listings. */
export interface MounterState extends MountFacts {
  /** `major:minor` of the mounted filesystem: tells our binds from a stranger's mounts. */
  readonly device: string
  readonly binds: readonly string[]
  /** As {@link MountStats} has it. */
  readonly waiting: Waiting | null
  /** How often a mounter has died and another gone on, and when the last did (ISO 8601, UTC). */
  readonly restarts: number
  readonly restartedAt: string | null
}

/** The shape of {@link Waiting}. */
export const waiting: Shape<Waiting> = v.looseObject({
  for: v.picklist(['peers', 'daemon']),
  since: v.string(),
  reads: v.picklist(['wait', 'fail'])
})

/** The shape of a {@link MounterState} in its file. */
export const mounterState: Shape<MounterState> = v.looseObject({
  link: v.string(),
  key: v.string(),
  version: count,
  rootfs: v.string(),
  mode: v.picklist(['erofs', 'fuse']),
  image: v.string(),
  arch: v.string(),
  start: v.looseObject({ mode: v.picklist(['boot', 'process']) }),
  pid: count,
  hasOverlayMarks: v.exactOptional(v.boolean()),
  device: v.string(),
  binds: v.array(v.string()),
  waiting: v.nullable(waiting),
  restarts: count,
  restartedAt: v.nullable(v.string())
})
