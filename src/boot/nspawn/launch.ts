import type { StreamOwner } from '../console/command-streams.ts'
import { ContainerError } from '../../core/errors.ts'
import type { StartCommand } from '../../image/format/manifest.ts'
import { ConsoleWriter } from '../console/console-writer.ts'
import type { ContainerOptions } from '../state/boot-options.ts'
import { inCgroups, makeCgroups, ownCgroups, removeCgroups } from './cgroup.ts'
import type { CleanupStack } from '../../core/cleanup-stack.ts'
import {
  bootLogStdio,
  bootStdio,
  commandStdio,
  logStdio,
  typedStdio,
  type ConsoleStdio,
  type Typing
} from '../console/console-stdio.ts'
import { hasTypist } from '../console/own-terminal.ts'
import { devicePolicy, prepareDevices } from '../root/container-devices.ts'
import { ContainerProcess } from './container-process.ts'
import { writeExecDefaults } from './exec-defaults.ts'
import { requireInnerDirectories } from '../root/inner-directories.ts'
import { clearMachineIdTrap } from '../root/machine-id-trap.ts'
import { hostnameBinds } from '../root/host-name.ts'
import { mapBinds } from '../root/mapped-binds.ts'
import {
  machineName,
  passedEnvironment,
  planNspawn,
  PRIVILEGED_ENVIRONMENT,
  type Payload
} from './nspawn-plan.ts'
import type { Bind } from '../state/bind-option.ts'
import { NotifySocket } from './notify-socket.ts'
import { preparePropagation, startNspawn } from './nspawn-process.ts'
import type { BootPaths, ContainerPaths } from '../state/paths.ts'
import {
  makeMountPoints,
  makeOsRelease,
  makeWorkingDirectory,
  prepareResolvConf
} from '../root/prepare-root.ts'
import { planPayload, startMode } from './payload.ts'
import { inOwnScope, isSystemdHost } from '../../core/host/service-process.ts'
import { hostId, type IdRange } from '../ids/user-namespace.ts'

export interface LaunchRequest {
  readonly paths: BootPaths
  readonly files: ContainerPaths
  /** How the image says it starts. */
  readonly start: StartCommand
  readonly options: ContainerOptions
  /** The host's ids that are the container's; undefined for the same. */
  readonly idRange: IdRange | undefined
  /** `inherit`: the streams of this process. `log`: the container's console log. */
  readonly console: 'inherit' | 'log'
  /** Told when an init is typed to. */
  readonly typing: Typing
  /** Asked last, just before anything is started. @throws to start nothing */
  readonly checkCancelled: () => void
}

/**
 * Starts systemd-nspawn on the container's merged root, in cgroups of its own.
 *
 * @param cleanup gets what undoes it, the container's end included
 * @throws ContainerError what is wrong with the command, the user or the image; `MISSING_TOOL`
 */
export async function launchContainer(
  { paths, files, start, options, idRange, console, typing, checkCancelled }: LaunchRequest,
  cleanup: CleanupStack
): Promise<ContainerProcess> {
  const mode = startMode(start, options)
  await clearMachineIdTrap(files.merged)
  const { payload, env, owner } = await planPayload(files.merged, files.directory, start, options)
  await writeExecDefaults(files, start, options)
  const rootMounts = await prepareRoot(files, payload, options, idRange)
  await requireInnerDirectories(files.merged)
  const uid = hostId(owner?.uid ?? 0, idRange)
  const gid = hostId(owner?.gid ?? 0, idRange)
  const io = openConsole(mode, console, typing, files.consoleLog, { uid, gid }, cleanup)
  const machine = machineName(files.name, paths.homeId)
  cleanup.defer(await preparePropagation(machine))
  const systemd = isSystemdHost()
  const undo = (task: () => Promise<void>): void => cleanup.defer(task)
  const devices = await prepareDevices(files, options, idRange, undo)
  const named = await hostnameBinds(files.merged, files.runtime, options.hostname)
  const asked = options.binds ?? []
  const binds = idRange === undefined ? asked : await mapBinds(files, asked, idRange, undo)
  const own = ownCgroups(paths.homeId, files.name)
  if (!systemd) undo(() => removeCgroups(own, { parents: 'own' }))
  const cgroups = systemd ? [] : await makeCgroups(own, devices.rules)
  const passed = passedEnvironment(env, options.env ?? [])
  const nspawnArgv = planNspawn({
    ...options,
    root: files.merged,
    machine,
    hostname: options.hostname ?? files.name,
    payload,
    idRange,
    binds: [...named, ...binds, ...devices.binds, ...rootMounts.binds],
    tmpfs: rootMounts.tmpfs,
    keepResolvConf: rootMounts.keepResolvConf,
    console: io.console,
    env,
    passed,
    extraArgs: options.nspawnArgs ?? []
  })
  const unit = `dat-container-${paths.homeId}-${files.name}`
  const properties = devicePolicy(devices.rules)
  const command = systemd
    ? inOwnScope(unit, nspawnArgv, { systemd, delegate: true, slice: 'machine.slice', properties })
    : inCgroups(cgroups, nspawnArgv)
  checkCancelled()
  const notify = openNotifySocket(files.notifySocket)
  cleanup.defer(() => notify[Symbol.dispose]())
  const environment = options.privileged === true ? PRIVILEGED_ENVIRONMENT : {}
  const nspawnEnvironment = { ...passed, ...environment }
  const nspawn = await startNspawn(command, io.stdio, nspawnEnvironment, notify.path)
  io.started(nspawn.child)
  cleanup.defer(() => io.finish())
  const exited = nspawn.exited.then(async (code) => {
    await io.finish()
    return code
  })
  const container = new ContainerProcess({
    nspawn: { ...nspawn, exited },
    notify,
    mode,
    cgroups,
    unit,
    ownsTerminal: io.stdio === 'inherit',
    stopSignal: start.stopSignal
  })
  cleanup.defer(() => container.end())
  return container
}

/** @returns what systemd-nspawn has to mount for it */
async function prepareRoot(
  files: ContainerPaths,
  payload: Payload,
  options: ContainerOptions,
  idRange: IdRange | undefined
): Promise<{ binds: Bind[]; tmpfs: string[]; keepResolvConf: boolean }> {
  const root = files.merged
  const owner = { uid: hostId(0, idRange), gid: hostId(0, idRange) }
  await makeMountPoints(root, owner)
  const tmpfs: string[] = []
  if (payload.mode === 'boot') await makeOsRelease(root, owner)
  else if (payload.cwd !== undefined) {
    const mounted = await makeWorkingDirectory(root, payload.cwd, owner)
    if (mounted !== undefined) tmpfs.push(mounted)
  }
  const isBoot = payload.mode === 'boot'
  const { bind, keep } = await prepareResolvConf(files, isBoot, owner, options)
  return { binds: bind === undefined ? [] : [bind], tmpfs, keepResolvConf: keep }
}

function openNotifySocket(path: string): NotifySocket {
  try {
    return NotifySocket.open(path)
  } catch (cause) {
    throw new ContainerError('IO', `cannot make a socket for systemd-nspawn: ${path}`, { cause })
  }
}

function openConsole(
  mode: 'boot' | 'process',
  console: 'inherit' | 'log',
  typing: Typing,
  log: string,
  owner: StreamOwner,
  cleanup: CleanupStack
): ConsoleStdio {
  if (console === 'inherit') {
    if (mode === 'process') return commandStdio(owner)
    return hasTypist() ? typedStdio(typing) : bootStdio()
  }
  const writer = new ConsoleWriter(log)
  cleanup.defer(() => writer[Symbol.dispose]())
  return mode === 'boot' ? bootLogStdio(writer) : logStdio(writer, owner)
}
