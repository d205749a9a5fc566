import type { ContainerOptions } from '../state/boot-options.ts'
import type { ImageNews } from '../../session/connection/image-session.ts'
import type { ContainerState } from '../state/container-record.ts'
import type { ErrorRecord } from '../../core/error-record.ts'
import type { Json } from '../../core/json-lines.ts'
import type { MounterGreeting } from '../lease/mounter-protocol.ts'

/** The request to a detached runner. It is not in its arguments, because links are secrets. */
export interface DetachedRequest {
  readonly container: Json<ContainerOptions>
  /** The starter has started its mounter, and will tell of it in a {@link DetachedMounter}. */
  readonly hasMounter: boolean
}

/** A further line: what the starter's mounter greeted with. */
export interface DetachedMounter {
  readonly mounter: MounterGreeting
}

/**
 * The last line, once the starter has heard what it waited for. A starter that goes away without,
 * however it does, wants no container any more.
 */
export interface DetachedKeep {
  readonly keep: true
}

/** The events that a detached runner reports to its parent. */
export type DetachedEvent =
  | { readonly event: 'state'; readonly state: ContainerState }
  | { readonly event: 'news'; readonly news: ImageNews }
  | { readonly event: 'ready'; readonly state: ContainerState }
  | { readonly event: 'exit'; readonly exitCode: number }
  | { readonly event: 'error'; readonly error: ErrorRecord }
