import type { ImageNews } from '../../session/connection/image-session.ts'
import type { BootProfile } from '../../image/format/boot-profile.ts'
import type { ImageReference } from '../../p2p/link.ts'
import type { ContainerOptions } from '../state/boot-options.ts'
import type { ContainerState } from '../state/container-record.ts'
import type { MounterAhead } from '../lease/starting-mounter.ts'

/** Events that the runner reports to its caller. */
export interface RunnerEvents {
  /** After every change of the state. */
  onState?(state: ContainerState): void
  /** Start-up inside has ended: the init says so, or the one command runs. */
  onReady?(state: ContainerState): void
  /** The image is there: its peers were found, or are not needed. */
  onMounted?(): void
  /** Notices about the image, before anything of it runs. */
  onNews?(news: ImageNews): void
  /** It follows a channel that names this image now, and is started again of it. */
  onRenewed?(image: ImageReference): void
  /** From now on what is typed on this process's terminal goes to the container's init. */
  onTyping?(): void
  /** With `record`: the container has ended, and this is what it read. */
  onRecorded?(profile: BootProfile): void
}

export interface RunnerOptions {
  readonly container: ContainerOptions
  /** `inherit`: the streams of this process. `log`: the container's console log. */
  readonly console: 'inherit' | 'log'
  readonly events?: RunnerEvents
  /** Aborting stops the container in order once it runs, because another one is to take its place. */
  readonly renewal?: AbortSignal
  /** Aborting undoes the container, at whatever stage it is, and does not wait for it to like that. */
  readonly signal?: AbortSignal
  /** A mounter of the same options, already started. It is disposed of, needed or not. */
  readonly mounter?: MounterAhead
}

export interface RunnerResult {
  readonly name: string
  readonly exitCode: number
  /** It was stopped for `renewal`, and not also by somebody else. */
  readonly isRenewed?: boolean
}
