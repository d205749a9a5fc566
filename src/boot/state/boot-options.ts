import type { OpenImageOptions } from '../../session/connection/image-session.ts'
import type { MountMode } from '../../fuse/content/mounted-image.ts'
import type { DeviceGrant } from './device-grant.ts'
import type { Bind } from './bind-option.ts'

/** Networks that a container can have: the machine's, none, or one of its own. */
export type NetworkMode = 'host' | 'none' | 'private'

/** The options of a container. JSON can hold all of them, so they can be sent to a detached runner. */
export interface ContainerOptions extends Omit<OpenImageOptions, 'signal'> {
  /** Letters, digits, dashes. @default made up from the image's name */
  readonly name?: string
  /** @default 'auto' */
  readonly mountMode?: MountMode | 'auto'
  /** One command to run. @default the image's own command, or its init */
  readonly command?: readonly string[]
  /** Boot the image's init even when the image names a command. @default false */
  readonly forceBoot?: boolean
  /** `NAME=value`. */
  readonly env?: readonly string[]
  /** Working directory, process mode. */
  readonly cwd?: string
  /** A user of the container, process mode. @default the image's, or root */
  readonly user?: string
  /** @default the container's name */
  readonly hostname?: string
  /** Keep writes in memory and forget them with the container. @default false */
  readonly ephemeral?: boolean
  /** The root cannot be written to. @default false */
  readonly readOnly?: boolean
  /** Remove the container when it ends. Implied by `ephemeral`. @default false */
  readonly remove?: boolean
  /** @default 'host' */
  readonly network?: NetworkMode
  readonly binds?: readonly Bind[]
  readonly capAdd?: readonly string[]
  readonly capDrop?: readonly string[]
  /**
   * `auto`: user and group ids of the container's own, so that its root is nobody on this machine. `no`: those of
   * this machine. @default 'auto'; 'no' when privileged
   */
  readonly privateUsers?: 'auto' | 'no'
  /** All capabilities, all devices, no system-call filter, the machine's ids. @default false */
  readonly privileged?: boolean
  /** Devices of this machine that the container may use. */
  readonly devices?: readonly DeviceGrant[]
  /** How an image's ids are mapped: `served` as where the kernel cannot; for tests. @default 'auto' */
  readonly idMapping?: 'auto' | 'served'
  readonly nspawnArgs?: readonly string[]
  /** Record what is read: as this home's profile of the image, or for the caller alone. */
  readonly record?: 'home' | 'caller'
  /**
   * The link of a channel with its secret: when it names another image or version, the container is started again of that.
   * @default the image stays
   */
  readonly follow?: string
  /** When the command began that asks for it, by `monotonicMs`. @default when this process began */
  readonly commandMs?: number
  /** How long an orderly stop may take before the container is killed. @default 30000 */
  readonly stopTimeoutMs?: number
  /** The program that mounts; for tests of this folder. */
  readonly mounterScript?: string
}

export const DEFAULT_STOP_TIMEOUT_MS = 30_000
