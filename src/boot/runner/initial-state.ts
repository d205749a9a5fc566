import { processBeganMs } from '../../core/monotonic-clock.ts'
import { ContainerError } from '../../core/errors.ts'
import type { StartCommand } from '../../image/format/manifest.ts'
import type { ContainerOptions } from '../state/boot-options.ts'
import { ownCgroups } from '../nspawn/cgroup.ts'
import type { ContainerClaim } from './container-claim.ts'
import {
  CONFIG_FORMAT_VERSION,
  type ContainerConfig,
  type ContainerState
} from '../state/container-record.ts'
import type { MountLease } from '../lease/mount-lease.ts'
import type { BootPaths } from '../state/paths.ts'
import { startMode } from '../nspawn/payload.ts'
import { identify } from '../../core/host/process-table.ts'
import type { IdRange } from '../ids/user-namespace.ts'

/** Makes the record that is kept of a container: the one on disk, or a new one; pure. */
export function configOf(
  claim: ContainerClaim,
  { facts: { link, key, version, image, start } }: MountLease,
  options: ContainerOptions,
  idRange: IdRange | undefined
): ContainerConfig {
  return {
    ...(claim.config ?? {
      formatVersion: CONFIG_FORMAT_VERSION,
      name: claim.files.name,
      createdAt: new Date().toISOString(),
      link,
      key,
      version,
      image,
      ephemeral: options.ephemeral === true,
      idRange: idRange ?? null
    }),
    command: commandOf(start, options)
  }
}

function commandOf(start: StartCommand, options: ContainerOptions): readonly string[] {
  return startMode(start, options) === 'boot' ? [] : (options.command ?? start.argv ?? [])
}

/** Makes the state of a container whose image is mounted and of which nothing runs yet. */
export function initialState(
  paths: BootPaths,
  { files }: ContainerClaim,
  lease: MountLease,
  options: ContainerOptions
): ContainerState {
  const { link, key, version, image, mode, start } = lease.facts
  const runner = identify(process.pid)
  if (runner === undefined) throw new ContainerError('IO', 'cannot read /proc')
  return {
    name: files.name,
    state: 'starting',
    link,
    key,
    version,
    image,
    mode: startMode(start, options),
    command: commandOf(start, options),
    ephemeral: options.ephemeral === true,
    readOnly: options.readOnly === true,
    mountMode: mode,
    rootfs: files.merged,
    mounterSocket: lease.socketPath,
    startedAt: new Date().toISOString(),
    timings: {},
    marks: { commandMs: options.commandMs ?? processBeganMs() },
    runner,
    cgroups: ownCgroups(paths.homeId, files.name)
  }
}
