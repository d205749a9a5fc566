import { rm } from 'node:fs/promises'
import { ContainerError } from '../image/errors.ts'
import { DEFAULT_STOP_TIMEOUT_MS, type ContainerOptions } from './boot-options.ts'
import {
  cgroupsOf,
  inCgroups,
  killCgroups,
  makeCgroups,
  ownCgroups,
  removeCgroups
} from './cgroup.ts'
import { withCleanup, type CleanupStack } from './cleanup-stack.ts'
import { openConsoleLog, readLogTail } from './console-log.ts'
import { bootStdio, commandStdio, logStdio, type ConsoleStdio } from './console-stdio.ts'
import {
  claimName,
  claimNewName,
  checkImage,
  linkFor,
  makeDirectories,
  type ContainerClaim
} from './container-claim.ts'
import {
  CONFIG_FORMAT_VERSION,
  type BootTimings,
  type ContainerConfig,
  type ContainerState
} from './container-record.ts'
import { missingTool } from './host-command.ts'
import { readJsonFile, writeJsonFile } from './json-file.ts'
import { removeUnmounted } from './mount-cleanup.ts'
import { acquireMount, type MountLease } from './mount-lease.ts'
import { machineName, passedEnvironment, planNspawn } from './nspawn-plan.ts'
import {
  findLeader,
  preparePropagation,
  startNspawn,
  waitForLeader,
  type NspawnProcess
} from './nspawn-process.ts'
import { mountOverlay, planOverlay } from './overlay.ts'
import { isOnHost } from './package-manager.ts'
import { bootPaths, type BootPaths } from './paths.ts'
import { checkBinds, planPayload, startMode } from './payload.ts'
import { identify, isAlive, waitForExit, type ProcessIdentity } from './process-table.ts'
import { waitUntilReady } from './readiness.ts'
import { requireRoot } from './require-root.ts'
import { inOwnScope, isSystemdHost } from './service-process.ts'
import { forwardSignal, killContainer, requestStop, type StopTarget } from './stop-control.ts'
import { sweep } from './sweep.ts'

/** What the runner tells whoever waits for it. */
export interface RunnerEvents {
  /** After every change of the state. */
  onState?(state: ContainerState): void
  /** Start-up inside has ended: systemd says so, or the one command runs. */
  onReady?(state: ContainerState): void
}

export interface RunnerOptions {
  readonly container: ContainerOptions
  /** `inherit`: the streams of this process. `log`: the container's console log. */
  readonly console: 'inherit' | 'log'
  readonly events?: RunnerEvents
  /** Aborting before the container runs undoes all of it. */
  readonly signal?: AbortSignal
}

export interface RunnerResult {
  readonly name: string
  readonly exitCode: number
}

/** How often a container is looked at for having rebooted. */
const WATCH_MS = 1000
const EXIT_TIMEOUT_MS = 10_000
const SIGNAL_EXIT_BASE = 128
/** What nspawn gives when a signal ended the command. */
const NSPAWN_EXCEPTION = 255
const HARD_INTERRUPTS = 3

/** One container from its mount to its end. Use {@link runContainer}. */
export class Runner {
  readonly #options: ContainerOptions
  readonly #console: 'inherit' | 'log'
  readonly #events: RunnerEvents
  readonly #starting = new AbortController()
  readonly #readiness = new AbortController()
  readonly #began = performance.now()
  #state: ContainerState | undefined
  #stop: StopTarget | undefined
  #nspawn: NspawnProcess | undefined
  #stopping = false
  #interrupts = 0
  #lastSignal: number | undefined

  constructor({ container, console, events = {}, signal }: RunnerOptions) {
    this.#options = container
    this.#console = console
    this.#events = events
    if (signal?.aborted === true) this.#starting.abort()
    signal?.addEventListener('abort', () => void this.stop().catch(() => {}), { once: true })
  }

  /** @throws ContainerError whatever keeps the container from running; nothing is left then */
  async run(): Promise<RunnerResult> {
    requireRoot('run a container')
    for (const tool of ['systemd-nspawn', 'setpriv', 'nsenter']) {
      if (!isOnHost(tool)) throw await missingTool(tool)
    }
    const { home, binds = [] } = this.#options
    const paths = bootPaths(home)
    await checkBinds(binds)
    await sweep({ home })
    this.#checkCancelled()
    return withCleanup((cleanup) => this.#runWith(paths, cleanup))
  }

  async #runWith(paths: BootPaths, cleanup: CleanupStack): Promise<RunnerResult> {
    const { name } = this.#options
    const named = name === undefined ? undefined : await this.#hold(claimName(paths, name), cleanup)
    const lease = await acquireMount({
      ...this.#options,
      link: named === undefined ? this.#options.link : linkFor(named, this.#options),
      mode: this.#options.mountMode ?? 'auto',
      signal: this.#starting.signal
    })
    cleanup.defer(() => lease[Symbol.asyncDispose]())
    if (named !== undefined) checkImage(named, lease.facts)
    const claim = named ?? (await this.#hold(claimNewName(paths, lease.facts.image), cleanup))
    const exitCode = await this.#runClaimed(paths, claim, lease, cleanup)
    return { name: claim.places.name, exitCode }
  }

  /** The first call asks the container to end, and kills it after the time-out; the next kills. */
  async stop(timeoutMs?: number): Promise<void> {
    const again = this.#stopping
    this.#stopping = true
    this.#starting.abort()
    this.#readiness.abort()
    const target = this.#currentTarget()
    if (target === undefined) return
    await this.#update({ state: 'stopping' })
    if (!again) {
      await requestStop(target)
      const limitMs = timeoutMs ?? this.#options.stopTimeoutMs ?? DEFAULT_STOP_TIMEOUT_MS
      if (await waitForExit(target.leader, limitMs)) return
    }
    await killContainer(target)
  }

  /** Ctrl-C, termination or hang-up of this process, as the container's mode understands it. */
  async signalled(signal: NodeJS.Signals): Promise<void> {
    const target = this.#currentTarget()
    if (target === undefined || target.mode === 'boot' || signal !== 'SIGINT') {
      this.#lastSignal ??= signal === 'SIGINT' ? 2 : 15
      return this.stop(await this.#requestedTimeout())
    }
    this.#lastSignal = 2
    this.#interrupts++
    if (this.#interrupts >= HARD_INTERRUPTS) await killContainer(target)
    else forwardSignal(target.leader, signal)
  }

  async #runClaimed(
    paths: BootPaths,
    claim: ContainerClaim,
    lease: MountLease,
    cleanup: CleanupStack
  ): Promise<number> {
    const { places } = claim
    const { ephemeral = false, remove = false } = this.#options
    // A start that fails leaves no trace of a container that was not there before.
    let keep = claim.config !== undefined
    cleanup.defer(async () => {
      await removeUnmounted(places.runtime)
      if (!keep) await rm(places.directory, { recursive: true, force: true })
    })
    await makeDirectories(places)
    const config = await this.#writeConfig(claim, lease)
    await this.#writeFirstState(paths, claim, lease)

    const plan = planOverlay({
      lower: lease.rootfs,
      places,
      ephemeral: ephemeral || this.#options.readOnly === true
    })
    cleanup.defer(await mountOverlay(plan, lease.rootfs))
    this.#checkCancelled()
    const exitCode = await this.#runPayload(paths, claim, lease, cleanup)
    keep = !ephemeral && !remove
    if (keep) {
      const lastExit = { code: exitCode, at: new Date().toISOString() }
      await writeJsonFile(places.config, { ...config, lastExit })
    }
    return exitCode
  }

  async #runPayload(
    paths: BootPaths,
    { places }: ContainerClaim,
    lease: MountLease,
    cleanup: CleanupStack
  ): Promise<number> {
    const { start } = lease.facts
    const { payload, env } = await planPayload(places.merged, start, this.#options)
    const io = await this.#openConsole(places.consoleLog, cleanup)
    const machine = machineName(places.name, paths.homeId)
    cleanup.defer(await preparePropagation(machine))
    const systemd = isSystemdHost()
    const cgroups = systemd ? [] : await makeCgroups(ownCgroups(paths.homeId, places.name))
    if (!systemd) cleanup.defer(() => removeCgroups(cgroups, { parents: 2 }))
    const nspawnArgv = planNspawn({
      ...this.#options,
      root: places.merged,
      machine,
      hostname: this.#options.hostname ?? places.name,
      payload,
      console: io.console,
      env,
      extraArgs: this.#options.nspawnArgs ?? []
    })
    const unit = `dat-container-${paths.homeId}-${places.name}`
    const command = systemd
      ? inOwnScope(unit, nspawnArgv, { systemd, delegate: true, slice: 'machine.slice' })
      : inCgroups(cgroups, nspawnArgv)
    this.#checkCancelled()
    const nspawn = await startNspawn(command, io.stdio, passedEnvironment(env))
    this.#nspawn = nspawn
    cleanup.defer(io.attach(nspawn.child))
    cleanup.defer(() => this.#endAll(nspawn))
    await this.#update({ nspawn: nspawn.identity, cgroups })
    const leader = await waitForLeader(nspawn)
    if (leader === undefined) throw await this.#startFailure(places.consoleLog, await nspawn.exited)
    await this.#running(leader, nspawn, start.stopSignal)
    return this.#watch(nspawn, places.consoleLog, cleanup)
  }

  /** From here on signals go to the container. */
  async #running(
    leader: ProcessIdentity,
    nspawn: NspawnProcess,
    stopSignal: string | undefined
  ): Promise<void> {
    const mode = this.#state?.mode ?? 'boot'
    const cgroups = cgroupsOf(nspawn.identity.pid)
    this.#stop = { mode, leader, cgroups, ...(stopSignal === undefined ? {} : { stopSignal }) }
    const startedMs = this.#elapsedMs()
    await this.#update({ leader, cgroups, state: 'running', timings: { startedMs } })
    // A stop that came while nspawn was setting up.
    if (this.#stopping) void this.stop().catch(() => {})
  }

  async #watch(nspawn: NspawnProcess, log: string, cleanup: CleanupStack): Promise<number> {
    const ending = this.#readiness
    const timer = setInterval(() => void this.#noticeReboot(nspawn).catch(() => {}), WATCH_MS)
    cleanup.defer(() => clearInterval(timer))
    const ready = this.#noticeReady(ending.signal)
    ready.catch(() => {})
    const exitCode = await nspawn.exited
    ending.abort()
    await ready.catch(() => {})
    const state = this.#state
    if (exitCode !== 0 && state?.mode === 'boot' && state.ready === undefined && !this.#stopping) {
      throw await this.#startFailure(log, exitCode)
    }
    if (exitCode === NSPAWN_EXCEPTION && this.#lastSignal !== undefined) {
      return SIGNAL_EXIT_BASE + this.#lastSignal
    }
    return exitCode
  }

  async #noticeReady(signal: AbortSignal): Promise<void> {
    const target = this.#stop
    if (target === undefined) return
    const word = target.mode === 'process' ? 'started' : await waitUntilReady(target.leader, signal)
    if (word === undefined || this.#state === undefined) return
    await this.#update({ ready: word, timings: { readyMs: this.#elapsedMs() } })
    this.#events.onReady?.(this.#state)
  }

  /** nspawn starts a new PID 1 when the container reboots. */
  async #noticeReboot(nspawn: NspawnProcess): Promise<void> {
    if (this.#stop === undefined || isAlive(this.#stop.leader)) return
    const leader = findLeader(nspawn.identity.pid)
    if (leader === undefined) return
    this.#stop = { ...this.#stop, leader }
    await this.#update({ leader })
  }

  #currentTarget(): StopTarget | undefined {
    if (this.#stop === undefined || this.#nspawn === undefined) return undefined
    const leader = findLeader(this.#nspawn.identity.pid) ?? this.#stop.leader
    return { ...this.#stop, leader }
  }

  /** A failure after nspawn was started may leave it running; kill -9 of nspawn leaves its PID 1. */
  async #endAll(nspawn: NspawnProcess): Promise<void> {
    const leader = findLeader(nspawn.identity.pid) ?? this.#stop?.leader
    const cgroups = this.#state?.cgroups ?? []
    if (leader !== undefined && isAlive(leader)) {
      await killContainer({ mode: 'boot', leader, cgroups })
    }
    if (isAlive(nspawn.identity) && !(await waitForExit(nspawn.identity, EXIT_TIMEOUT_MS))) {
      nspawn.child.kill('SIGKILL')
    }
    await killCgroups(cgroups)
  }

  async #startFailure(log: string, exitCode: number): Promise<ContainerError> {
    if (this.#starting.signal.aborted) return this.#cancelled()
    const lastWords = this.#console === 'log' ? await readLogTail(log, 3) : ''
    const detail = lastWords === '' ? '' : `: ${lastWords.replaceAll('\n', ' | ')}`
    return new ContainerError(
      'BOOT_FAILED',
      `the container ended before it was up (exit code ${exitCode})${detail}`,
      { hint: 'see what this machine lacks: dat-container doctor' }
    )
  }

  async #openConsole(log: string, cleanup: CleanupStack): Promise<ConsoleStdio> {
    const mode = this.#state?.mode ?? 'boot'
    if (this.#console === 'inherit') return mode === 'boot' ? bootStdio() : commandStdio()
    const file = await openConsoleLog(log)
    cleanup.defer(() => file.close())
    return logStdio(mode, file.fd)
  }

  async #writeConfig(claim: ContainerClaim, lease: MountLease): Promise<ContainerConfig> {
    const { link, key, version, image } = lease.facts
    const config: ContainerConfig = claim.config ?? {
      formatVersion: CONFIG_FORMAT_VERSION,
      name: claim.places.name,
      createdAt: new Date().toISOString(),
      link,
      key,
      version,
      image,
      ephemeral: this.#options.ephemeral === true
    }
    await writeJsonFile(claim.places.config, config)
    return config
  }

  async #writeFirstState(
    paths: BootPaths,
    { places }: ContainerClaim,
    lease: MountLease
  ): Promise<void> {
    const { link, key, version, image, mode, start } = lease.facts
    const runner = identify(process.pid)
    if (runner === undefined) throw new ContainerError('IO', 'cannot read /proc')
    this.#statePath = places.state
    this.#stopRequestPath = places.stopRequest
    await this.#update({
      name: places.name,
      state: 'starting',
      link,
      key,
      version,
      image,
      mode: startMode(start, this.#options),
      ephemeral: this.#options.ephemeral === true,
      readOnly: this.#options.readOnly === true,
      mountMode: mode,
      rootfs: places.merged,
      mounterSocket: lease.socketPath,
      startedAt: new Date().toISOString(),
      timings: { mountedMs: this.#elapsedMs() },
      runner,
      cgroups: ownCgroups(paths.homeId, places.name)
    })
  }

  #statePath = ''
  #stopRequestPath = ''

  async #update(
    change: Partial<Omit<ContainerState, 'timings'>> & { timings?: BootTimings }
  ): Promise<void> {
    const timings = { ...this.#state?.timings, ...change.timings }
    const state = { ...this.#state, ...change, timings } as ContainerState
    this.#state = state
    this.#writing = this.#writing.then(() => writeJsonFile(this.#statePath, state)).catch(() => {})
    await this.#writing
    this.#events.onState?.(state)
  }

  #writing: Promise<void> = Promise.resolve()

  async #requestedTimeout(): Promise<number | undefined> {
    if (this.#stopRequestPath === '') return undefined
    return (await readJsonFile<{ timeoutMs: number }>(this.#stopRequestPath))?.timeoutMs
  }

  async #hold(claiming: Promise<ContainerClaim>, cleanup: CleanupStack): Promise<ContainerClaim> {
    const claim = await claiming
    cleanup.defer(() => claim.lock[Symbol.asyncDispose]())
    return claim
  }

  #elapsedMs(): number {
    return Math.round(performance.now() - this.#began)
  }

  #checkCancelled(): void {
    if (this.#starting.signal.aborted) throw this.#cancelled()
  }

  #cancelled(): ContainerError {
    return new ContainerError('CANCELLED', 'cancelled before the container ran')
  }
}

/**
 * Runs a container in this process from mount to end: image, overlay, systemd-nspawn, and all of it
 * undone in reverse order. Signals to this process are handled meanwhile: a booted container is
 * stopped in order by the first and killed by the second; a command gets Ctrl-C itself.
 *
 * @returns the exit code of the command or of the container
 * @throws ContainerError whatever keeps the container from running; nothing is left then
 */
export async function runContainer(options: RunnerOptions): Promise<RunnerResult> {
  const runner = new Runner(options)
  const onSignal = (signal: NodeJS.Signals): void => {
    runner.signalled(signal).catch(() => {})
  }
  const handled = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of handled) process.on(signal, onSignal)
  try {
    return await runner.run()
  } finally {
    for (const signal of handled) process.off(signal, onSignal)
  }
}
