import { existsSync } from 'node:fs'
import { mkdir, rm, stat } from 'node:fs/promises'
import { arch, platform } from 'node:os'
import { join } from 'node:path'
import { writeDurableJson, writeJsonFile } from '../../core/json-file.ts'
import { identify, type ProcessIdentity } from '../../core/host/process-table.ts'
import { quoteForShell } from '../../core/host/shell-quote.ts'
import { CleanupStack } from '../../core/cleanup-stack.ts'
import { throwIfCancelled } from '../../core/cancel.ts'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import { chooseAccelerator } from '../qemu/accelerator.ts'
import { planCommandLine } from '../state/command-line.ts'
import { beginGuarded, confineStart, sandboxOf } from '../qemu/confinement.ts'
import { lastLines } from '../state/console-log.ts'
import { prepareDisk } from '../qemu/data-disk.ts'
import { diskKey } from './disk-key.ts'
import { findQemu } from '../qemu/find-qemu.ts'
import { freePort } from '../qemu/free-port.ts'
import { requireData } from '../guest/guest-data.ts'
import { guardPlace, removeGuard } from '../qemu/loopback-guard.ts'
import { limitsOf } from '../state/machine-limits.ts'
import { takeLock, type KernelLock } from '../../core/host/kernel-lock.ts'
import { mergeOptions, type MachineOptions } from './machine-options.ts'
import {
  machineHome,
  machinePaths,
  type MachineHome,
  type MachinePaths
} from '../state/machine-paths.ts'
import {
  readConfig,
  readLiveState,
  type BootFacts,
  type MachineConfig,
  type MachineState,
  type MachineSummary
} from '../state/machine-record.ts'
import { summarize } from '../qemu/machine-summary.ts'
import { unpackInitrd } from '../os-image/unpacked-initrd.ts'
import { findImage, givenImage, openImage } from '../os-image/os-image.ts'
import { LOOPBACK, SSH_GUEST_PORT, parseForward } from '../state/port-forward.ts'
import { planQemu, type MachinePlan } from '../qemu/qemu-plan.ts'
import type {
  Accelerator,
  Architecture,
  ControlPlace,
  MachineType,
  Platform
} from '../state/machine-types.ts'
import { endQemu, startQemu } from '../qemu/qemu-process.ts'
import { captureSsh, sshTarget } from '../guest/ssh-command.ts'
import { homeSshKey } from '../guest/ssh-key.ts'
import { waitForSsh, type WaitProgress } from '../guest/wait-for-ssh.ts'

export interface StartRequest {
  readonly home: string
  readonly name: string
  readonly options: MachineOptions
  /** How long ssh may take to answer. @default 120000, without an accelerator 600000 */
  readonly timeoutMs?: number | undefined
  /** A minisign key that the image's manifest must be signed by. */
  readonly publicKey?: string | undefined
  /** Nodes of a private DHT for the guest's daemon, `host:port,…`. */
  readonly bootstrap?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly events?: {
    /** Something that people should know; one line. */
    readonly onNotice?: (line: string) => void
    readonly onProgress?: (progress: WaitProgress) => void
    /** The end of the guest's serial log, before a start that failed throws. */
    readonly onFailure?: (lines: readonly string[]) => void
  }
}

/** A machine that answers to ssh, and what was said while it started. */
export interface StartedMachine extends MachineSummary {
  readonly notices: readonly string[]
}

const LOCK_WAIT_MS = 500
const TIMEOUT_MS = 120_000
const SLOW_TIMEOUT_MS = 600_000
const MOUNT_TIMEOUT_MS = 60_000
const SHOWN_LINES = 20
/** The initrd, unpacked for one start, in the machine's folder. */
const UNPACKED = 'initrd'
/** HyperOS's is 140 MB, and in memory twice for a moment. */
const UNPACKED_WANTS_MIB = 512
/** Somebody else may take the port for ssh between our look and QEMU's. */
const PORT_ATTEMPTS = 3

/**
 * Starts a machine, making it when there is none, and waits until root can log in. One that does
 * not get there is stopped; a new one that is cancelled is forgotten.
 *
 * @throws ContainerError `NAME_IN_USE` when it runs, `USAGE`, `MISSING_TOOL`, `NOT_FOUND`,
 *   `BAD_MANIFEST`, `BAD_SOURCE`, `BOOT_FAILED`, `TIMEOUT`, `CANCELLED`
 */
export async function startMachine(request: StartRequest): Promise<StartedMachine> {
  const home = machineHome(request.home)
  const paths = machinePaths(home, request.name)
  const lock = await takeLock(paths.lock, { waitMs: LOCK_WAIT_MS, keepFile: true })
  if (lock === undefined) throw await inUse(paths)
  const undo = new CleanupStack()
  try {
    return await startLocked(request, { home, paths, lock, undo })
  } catch (error) {
    await undo.undo()
    throw error
  } finally {
    // QEMU has the lock from here on, when it runs.
    await lock[Symbol.asyncDispose]()
  }
}

interface Start {
  readonly home: MachineHome
  readonly paths: MachinePaths
  readonly lock: KernelLock
  /** Undoes what a failed start did. */
  readonly undo: CleanupStack
}

async function startLocked(request: StartRequest, start: Start): Promise<StartedMachine> {
  const { home, paths, undo } = start
  const { signal } = request
  if ((await readLiveState(paths)) !== undefined) throw await inUse(paths)
  const before = await readConfig(paths)
  const { encrypt } = request.options
  const options = encrypt === true ? { ...request.options, keyFile: paths.key } : request.options
  const config = mergeOptions(request.name, options, before, limitsOf(process.env))
  const notices: string[] = []
  const notice = (line: string): void => {
    notices.push(line)
    request.events?.onNotice?.(line)
  }
  const plan = await planStart(request, start, { config, before }, notice)
  throwIfCancelled(signal)
  const { qemu, sshPort } = await launch(plan, start, config, notice, signal)
  // QEMU has it open by now.
  await rm(join(paths.directory, UNPACKED), { force: true })
  undo.defer(() => removeGuard(guardPlace(home, paths)))
  undo.defer(() => endQemu(qemu, plan.control))
  if (plan.paused === true) {
    await beginGuarded(
      { qemu, control: plan.control, place: guardPlace(home, paths), config },
      notice
    )
  }
  // The next start must not repeat options that failed, such as a wrong key.
  if (before !== undefined) undo.defer(() => writeDurableJson(paths.config, before))
  await writeDurableJson(paths.config, { ...config, sshPort })
  const state: MachineState = {
    name: paths.name,
    state: 'starting',
    qemu,
    starter: ownIdentity(),
    control: plan.control,
    architecture: plan.architecture,
    accelerator: plan.accelerator,
    type: plan.type,
    sshPort,
    startedAt: new Date().toISOString(),
    boot: {
      kernelSha256: plan.kernelSha256,
      initrdSha256: plan.initrdSha256,
      commandLine: plan.commandLine
    }
  }
  await writeJsonFile(paths.state, state)
  const began = performance.now()
  const target = sshTarget(home, paths, sshPort)
  try {
    await waitForSsh({
      target,
      qemu,
      consoleLog: paths.consoleLog,
      qemuLog: paths.qemuLog,
      timeoutMs: request.timeoutMs ?? (plan.accelerator === 'tcg' ? SLOW_TIMEOUT_MS : TIMEOUT_MS),
      signal,
      onProgress: request.events?.onProgress
    })
    if (config.keyFile !== undefined) await requireData(target, signal)
    await mountShares(config, target, signal)
  } catch (error) {
    if (isContainerError(error, 'CANCELLED')) throw error
    request.events?.onFailure?.(await lastLines(paths.consoleLog, SHOWN_LINES))
    throw withLogHint(error, paths.name)
  }
  await writeJsonFile(paths.state, {
    ...state,
    state: 'running',
    readyMs: Math.round(performance.now() - began)
  } satisfies MachineState)
  return { ...(await summarize(paths)), notices }
}

/** The image to start, with the digests of its kernel and initrd. */
type Planned = MachinePlan & BootFacts & { readonly program: string }

/** Everything that QEMU's arguments depend on, the files that it wants made. */
async function planStart(
  request: StartRequest,
  { home, paths, undo }: Start,
  { config, before }: { config: MachineConfig; before: MachineConfig | undefined },
  notice: (line: string) => void
): Promise<Planned> {
  const host = { platform: platform() as Platform, architecture: arch() as Architecture }
  const image =
    config.kernel !== undefined && config.initrd !== undefined
      ? await givenImage(config.kernel, config.initrd)
      : await openImage(findImage(home.image, config.architecture), {
          publicKey: request.publicKey,
          architecture: config.architecture
        })
  const architecture = image.architecture ?? config.architecture ?? host.architecture
  for (const { source } of config.shares) await requireDirectory(source, host.platform)
  const qemu = await findQemu(host.platform, architecture)
  const chosen = await chooseAccelerator({
    asked: config.accelerator,
    host,
    guest: architecture,
    qemu,
    cache: home.accelerators
  })
  if (chosen.notice !== undefined) notice(chosen.notice)
  const type = machineType(config, architecture, chosen.accelerator)
  const isNew = !existsSync(paths.config)
  if (isNew) {
    // Kept, for its logs, when the guest fails; not when it never ran, nor when it is cancelled.
    undo.defer(async () => {
      if (request.signal?.aborted === true || !existsSync(paths.config)) {
        await rm(paths.directory, { recursive: true, force: true })
      }
    })
  }
  await mkdir(paths.directory, { recursive: true, mode: 0o700 })
  await mkdir(paths.runtime, { recursive: true, mode: 0o700 })
  undo.defer(() => rm(paths.runtime, { recursive: true, force: true }))
  await rm(paths.state, { force: true })
  await rm(paths.consoleLog, { force: true })
  const key = await diskKey(paths, config, before, notice)
  const disk =
    config.diskBytes === 0
      ? undefined
      : await prepareDisk(paths.disk, config.diskBytes, host.platform)
  // A guest may have a new host key, with a new disk for instance. The first one that is seen now is
  // its own: QEMU has the port before anybody asks.
  await rm(paths.knownHosts, { force: true })
  const emulated = chosen.accelerator === 'tcg'
  const unpacked = join(paths.directory, UNPACKED)
  undo.defer(() => rm(unpacked, { force: true }))
  const isUnpacked =
    emulated &&
    unpacksOutside(config) &&
    (await unpackInitrd(image.initrd, unpacked, request.signal))
  return {
    program: qemu.program,
    name: paths.name,
    platform: host.platform,
    architecture,
    accelerator: chosen.accelerator,
    type,
    memoryMib: config.memoryMib,
    cpus: config.cpus,
    kernel: image.kernel,
    initrd: isUnpacked ? unpacked : image.initrd,
    kernelSha256: image.kernelSha256,
    initrdSha256: image.initrdSha256,
    commandLine: planCommandLine({
      architecture,
      name: paths.name,
      authorizedKeys: await homeSshKey(home.sshKey, join(home.locks, 'ssh-key')),
      bootstrap: request.bootstrap,
      // A user who asked for isolation gets all of it or an error.
      fixedAddresses: emulated && config.isolates === undefined,
      append: config.append
    }),
    ...(disk === undefined ? {} : { disk }),
    ...(key === undefined ? {} : { diskKey: key }),
    forwards: config.forwards.map(parseForward),
    shares: config.shares.map(({ source, readOnly }, index) => ({
      source,
      readOnly,
      tag: shareTag(index)
    })),
    consoleLog: paths.consoleLog,
    control: controlPlace(paths),
    sandboxed: await sandboxOf(qemu, config, notice),
    paused: config.isolates !== undefined
  }
}

/**
 * Decides whether this machine unpacks the initrd for the guest. It stays packed where the guest keeps or measures it, because
 * those must be the image's bytes, and where memory is short, on this machine too.
 */
function unpacksOutside({ append = '', memoryMib, isolates }: MachineConfig): boolean {
  const isKept = append.includes('retain_initrd')
  return !isKept && isolates === undefined && memoryMib >= UNPACKED_WANTS_MIB
}

/** Starts QEMU with a free port for ssh. */
async function launch(
  plan: MachinePlan & { readonly program: string },
  { home, paths, lock }: Start,
  config: MachineConfig,
  notice: (line: string) => void,
  signal: AbortSignal | undefined
): Promise<{ qemu: ProcessIdentity; sshPort: number }> {
  const taken = new Set(plan.forwards.map(({ hostPort }) => hostPort))
  for (let attempt = 1; ; attempt++) {
    const preferred = attempt === 1 && !taken.has(config.sshPort ?? 0) ? config.sshPort : undefined
    const sshPort = await freePort(preferred)
    const ssh = {
      protocol: 'tcp',
      address: LOOPBACK,
      hostPort: sshPort,
      guestPort: SSH_GUEST_PORT
    } as const
    const place = guardPlace(home, paths)
    const where = { place, directory: paths.runtime }
    await using start = await confineStart(plan, where, notice)
    try {
      const qemu = await startQemu({
        program: plan.program,
        argv: [...start.argv, ...planQemu({ ...start.plan, forwards: [ssh, ...plan.forwards] })],
        wrapper: start.wrapper,
        descriptors: start.descriptors,
        unit: `dat-machine-${place.homeId}-${paths.name}`,
        log: paths.qemuLog,
        control: plan.control,
        lock,
        signal
      })
      return { qemu, sshPort }
    } catch (error) {
      const isPort = error instanceof Error && error.message.includes(`:${sshPort}-:`)
      if (!isPort || attempt === PORT_ATTEMPTS) throw error
    }
  }
}

async function mountShares(
  config: MachineConfig,
  target: Parameters<typeof captureSsh>[0],
  signal: AbortSignal | undefined
): Promise<void> {
  for (const [index, share] of config.shares.entries()) {
    const place = quoteForShell(share.target)
    const options = `trans=virtio,version=9p2000.L,msize=524288,${share.readOnly ? 'ro' : 'rw'}`
    const command = `mkdir -p ${place} && mount -t 9p -o ${options} ${shareTag(index)} ${place}`
    const ran = await captureSsh(target, command, { timeoutMs: MOUNT_TIMEOUT_MS, signal })
    if (ran.exitCode === 0) continue
    const said = ran.stderr.trim().split('\n').at(-1) ?? ''
    throw new ContainerError('MOUNT_FAILED', `the guest cannot mount ${share.source}: ${said}`)
  }
}

function shareTag(index: number): string {
  return `share${index}`
}

async function requireDirectory(path: string, platform: Platform): Promise<void> {
  if (platform === 'win32') {
    throw new ContainerError('USAGE', 'QEMU for Windows shares no directories', {
      hint: 'leave --share out, and copy files with scp'
    })
  }
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory() === true) return
  throw new ContainerError('NOT_FOUND', `there is no directory ${path}`, {
    hint: 'share one that is there'
  })
}

function machineType(
  { type }: MachineConfig,
  architecture: Architecture,
  accelerator: Accelerator
): MachineType {
  if (type === 'auto') return architecture === 'x64' ? 'q35' : 'virt'
  const fitting = architecture === 'x64' ? ['q35', 'microvm'] : ['virt']
  if (!fitting.includes(type)) {
    throw new ContainerError('USAGE', `an ${architecture} machine cannot be a ${type}`, {
      hint: `use --type ${fitting.join(' or ')}`
    })
  }
  // Its only clocks are KVM's and the processor's: in software Linux waits for a tick for ever.
  if (type === 'microvm' && accelerator !== 'kvm') {
    throw new ContainerError('USAGE', `a microvm runs only on KVM, not on ${accelerator}`, {
      hint: 'use --type q35'
    })
  }
  return type
}

function controlPlace({ control }: MachinePaths): ControlPlace {
  return { kind: 'unix', path: control }
}

function ownIdentity(): ProcessIdentity {
  return identify(process.pid) ?? { pid: process.pid, startTicks: 0 }
}

async function inUse(paths: MachinePaths): Promise<ContainerError> {
  const live = await readLiveState(paths)
  const what = live?.state === 'running' ? 'is already running' : 'is being started or removed'
  return new ContainerError('NAME_IN_USE', `machine ${paths.name} ${what}`, {
    hint: `to log in: dat-container machine ssh ${paths.name}; to stop it: dat-container machine stop ${paths.name}`
  })
}

function withLogHint(error: unknown, name: string): unknown {
  if (!isContainerError(error)) return error
  const log = `full console output of the guest: dat-container machine logs ${name}`
  return new ContainerError(error.code, error.message, {
    hint: error.hint === undefined ? log : `${error.hint}; ${log}`,
    cause: error
  })
}
