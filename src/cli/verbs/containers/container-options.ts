import type { ImageReference } from '../../../p2p/link.ts'
import { parseBind } from '../../../boot/state/bind-option.ts'
import type { ContainerOptions } from '../../../boot/state/boot-options.ts'
import { parseDevice } from '../../../boot/state/device-grant.ts'
import { given, type Optional } from '../../../core/given.ts'
import { processBeganMs } from '../../../core/monotonic-clock.ts'

/** Flags of `boot`, as commander has parsed them. */
export interface BootFlags {
  readonly name?: string
  readonly detach?: boolean
  readonly wait: 'running' | 'ready'
  readonly waitTimeout?: number
  readonly ephemeral?: boolean
  readonly readOnly?: boolean
  readonly rm?: boolean
  readonly boot?: boolean
  readonly env?: string[]
  readonly workdir?: string
  readonly user?: string
  readonly hostname?: string
  readonly volume?: string[]
  readonly publish?: string[]
  readonly network?: 'host' | 'none' | 'private'
  readonly capAdd?: string[]
  readonly capDrop?: string[]
  readonly device?: string[]
  readonly privateUsers?: 'auto' | 'no'
  readonly privileged?: boolean
  readonly idMapping?: 'auto' | 'served'
  readonly nspawnArg?: string[]
  readonly mount: 'auto' | 'erofs' | 'fuse'
  readonly follow?: boolean
  readonly lazyOnly?: boolean
  readonly offline?: boolean
  readonly reuse?: boolean
  readonly record?: boolean
  readonly onPeerLoss: 'wait' | 'fail'
  readonly peerTimeout: number
}

/**
 * What to boot, and how, of what the command line says. Flags that were not given leave out their options.
 *
 * @param argv the command to run; empty for the image's own
 * @throws ContainerError `USAGE` for a volume or device that is none
 */
export function containerOptions(
  image: ImageReference,
  argv: readonly string[],
  flags: BootFlags,
  home: string
): ContainerOptions {
  const optional: Optional<ContainerOptions> = {
    name: flags.name,
    command: argv.length > 0 ? argv : undefined,
    forceBoot: flags.boot,
    ephemeral: flags.ephemeral,
    readOnly: flags.readOnly,
    remove: flags.rm,
    env: flags.env,
    cwd: flags.workdir,
    user: flags.user,
    hostname: flags.hostname,
    binds: flags.volume?.map(parseBind),
    network: flags.network,
    capAdd: flags.capAdd,
    capDrop: flags.capDrop,
    devices: flags.device?.map(parseDevice),
    privateUsers: flags.privateUsers,
    privileged: flags.privileged,
    idMapping: flags.idMapping,
    nspawnArgs: flags.nspawnArg,
    lazyOnly: flags.lazyOnly,
    offline: flags.offline,
    reuse: flags.reuse,
    record: flags.record ? 'home' : undefined
  }
  return {
    ...given(optional),
    home,
    link: image,
    commandMs: processBeganMs(),
    mountMode: flags.mount,
    onPeerLoss: flags.onPeerLoss,
    peerTimeoutMs: flags.peerTimeout
  }
}
