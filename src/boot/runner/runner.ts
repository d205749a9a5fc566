import { constants } from 'node:os'
import { ContainerError } from '../../core/errors.ts'
import { DEFAULT_STOP_TIMEOUT_MS, type ContainerOptions } from '../state/boot-options.ts'
import { withCleanup, type CleanupStack } from '../../core/cleanup-stack.ts'
import { readLogTail } from '../console/console-log.ts'
import {
  claimName,
  claimNewName,
  checkImage,
  linkFor,
  makeDirectories,
  type ContainerClaim
} from './container-claim.ts'
import { claimIds } from './container-ids.ts'
import type { ContainerProcess } from '../nspawn/container-process.ts'
import { mountContainerRoot, mountLower } from '../root/container-root.ts'
import { configOf, initialState } from './initial-state.ts'
import { missingTool } from '../../core/host/host-command.ts'
import { readJsonFile, writeDurableJson } from '../../core/json-file.ts'
import { launchContainer } from '../nspawn/launch.ts'
import { removeUnmounted, unmountAllUnder } from '../../fuse/linux/mount-cleanup.ts'
import { ImageReference } from '../../p2p/link.ts'
import { acquireMount, type MountLease } from '../lease/mount-lease.ts'
import { mounterOptions } from '../lease/mount-ahead.ts'
import type { MounterRequest } from '../lease/mounter-protocol.ts'
import { isOnHost } from '../../core/host/package-manager.ts'
import { acquireRecordedMount } from './recorded-mount.ts'
import { bootPaths, type BootPaths, type ContainerPaths } from '../state/paths.ts'
import { checkBinds } from '../nspawn/payload.ts'
import { waitForExit } from '../../core/host/process-table.ts'
import { removeTree } from '../root/remove-tree.ts'
import { requireRoot } from '../../core/host/require-root.ts'
import { RunState } from '../state/run-state.ts'
import type { RunnerEvents, RunnerOptions, RunnerResult } from './runner-options.ts'
import type { MounterAhead } from '../lease/starting-mounter.ts'
import { startCancelled } from './start-cancelled.ts'
import { lackHint } from '../../doctor/lack-hint.ts'
import type { ConsoleRequest } from '../console/console-keys.ts'
import {
  forwardSignal,
  requestStop,
  type StopRequest,
  stopRequest
} from '../nspawn/stop-control.ts'
import { sweep } from '../containers/sweep.ts'
import type { IdRange } from '../ids/user-namespace.ts'
import { watchContainer } from './watch-container.ts'

const SIGNAL_EXIT_BASE = 128
/** The exit codes of a killed container: that of nspawn when a signal ended the command, and that of a killed nspawn. */
const KILLED_STATUS = SIGNAL_EXIT_BASE + constants.signals.SIGKILL
const KILLED = [255, KILLED_STATUS]
const HARD_INTERRUPTS = 3

/** A container from its mount to its end. Use {@link runContainer}. */
export class Runner {
  readonly #options: ContainerOptions
  readonly #console: 'inherit' | 'log'
  readonly #events: RunnerEvents
  readonly #state: RunState
  readonly #mounter: MounterAhead | undefined
  readonly #renewal: AbortSignal | undefined
  readonly #starting = new AbortController()
  /** Aborted when nobody need wait any longer for start-up inside to end. */
  readonly #readiness = new AbortController()
  #files: ContainerPaths | undefined
  #container: ContainerProcess | undefined
  #stopping = false
  /** It was stopped because another one takes its place. */
  #isRenewed = false
  /** It did not end in order, and nobody at a terminal wanted that. */
  #isKilled = false
  #interrupts = 0
  #lastSignal: 'SIGINT' | 'SIGTERM' | undefined

  constructor({ container, console, events = {}, signal, mounter, renewal }: RunnerOptions) {
    this.#renewal = renewal
    renewal?.addEventListener('abort', () => void this.stop().catch(() => {}), { once: true })
    this.#mounter = mounter
    this.#options = container
    this.#console = console
    this.#events = events
    this.#state = new RunState((state) => events.onState?.(state))
    if (signal?.aborted === true) this.#starting.abort()
    signal?.addEventListener('abort', () => void this.stop(0).catch(() => {}), { once: true })
  }

  /** @throws ContainerError whatever keeps the container from running; nothing is left then */
  async run(): Promise<RunnerResult> {
    requireRoot('running a container')
    for (const tool of ['systemd-nspawn', 'setpriv']) {
      if (!isOnHost(tool)) throw await missingTool(tool)
    }
    const { home, binds = [] } = this.#options
    const paths = bootPaths(home)
    await checkBinds(binds)
    await sweep({ home })
    this.#checkCancelled()
    return withCleanup((cleanup) => this.#runWith(paths, cleanup))
  }

  /**
   * The first call asks the container to end, and kills it after the time-out; the next kills. One
   * that has no PID 1 yet has nothing to put in order: it is killed at once.
   */
  async stop(timeoutMs?: number): Promise<void> {
    const again = this.#stopping
    this.#stopping = true
    this.#starting.abort()
    this.#readiness.abort()
    const container = this.#container
    const target = container?.target()
    if (container === undefined || target === undefined) return container?.kill()
    await this.#state.update({ state: 'stopping' })
    if (!again) {
      await requestStop(target)
      const limitMs = timeoutMs ?? this.#options.stopTimeoutMs ?? DEFAULT_STOP_TIMEOUT_MS
      if (await waitForExit(target.leader, limitMs)) return
    }
    this.#isKilled = this.#lastSignal !== 'SIGINT'
    await container.kill()
  }

  /** Ctrl-C, termination or hang-up of this process, as the container's mode understands it. */
  async signalled(signal: NodeJS.Signals): Promise<void> {
    const target = this.#container?.target()
    if (target === undefined || target.mode === 'boot' || signal !== 'SIGINT') {
      this.#lastSignal ??= signal === 'SIGINT' ? 'SIGINT' : 'SIGTERM'
      return this.stop(await this.#requestedTimeout())
    }
    this.#lastSignal = 'SIGINT'
    this.#interrupts++
    if (this.#interrupts >= HARD_INTERRUPTS) await this.#container?.kill()
    else await forwardSignal(target.leader, signal)
  }

  /** Keys on the console of an init: Ctrl-C as if it had come as a signal, or the end at once. */
  async #requested(request: ConsoleRequest): Promise<void> {
    if (request === 'stop') return this.signalled('SIGINT')
    this.#lastSignal ??= 'SIGINT'
    // If it is being stopped already, it is killed.
    this.#stopping = true
    await this.stop()
  }

  async #runWith(paths: BootPaths, cleanup: CleanupStack): Promise<RunnerResult> {
    const { name } = this.#options
    const named = name === undefined ? undefined : await this.#hold(claimName(paths, name), cleanup)
    const lease = await this.#mount(named)
    cleanup.defer(() => lease[Symbol.asyncDispose]())
    this.#events.onMounted?.()
    if (named !== undefined) checkImage(named, lease.facts)
    const claim = named ?? (await this.#hold(claimNewName(paths, lease.facts.image), cleanup))
    const exitCode = await this.#runClaimed(paths, claim, lease, cleanup)
    return { name: claim.files.name, exitCode, isRenewed: this.#isRenewed }
  }

  /**
   * The image as the container is to find it, with its ids: by a mounter of another kind where the kernel cannot
   * map ids, and where the image holds what the container's overlay would take for its own.
   */
  async #lower(
    { files }: ContainerClaim,
    mounted: MountLease,
    idRange: IdRange | undefined,
    cleanup: CleanupStack
  ): Promise<{ lease: MountLease; lower: string }> {
    const escaped = mounted.facts.hasOverlayMarks === true ? { escaped: true } : {}
    const isShared = mounted.facts.hasOverlayMarks !== true
    const lease = isShared ? mounted : await this.#mountInstead(mounted, escaped, cleanup)
    if (idRange === undefined) return { lease, lower: lease.rootfs }
    const isMapped = this.#options.idMapping !== 'served'
    if (isMapped && (await mountLower(lease.rootfs, files, idRange))) {
      return { lease, lower: files.lower }
    }
    const served = { idBase: idRange.base, ...escaped }
    const shifted = await this.#mountInstead(lease, served, cleanup)
    return { lease: shifted, lower: shifted.rootfs }
  }

  async #mountInstead(
    lease: MountLease,
    served: Pick<MounterRequest, 'idBase' | 'escaped'>,
    cleanup: CleanupStack
  ): Promise<MountLease> {
    await lease[Symbol.asyncDispose]()
    const options = this.#options
    const acquire = options.record === undefined ? acquireMount : acquireRecordedMount
    const mounter = mounterOptions(options, ImageReference.parse(lease.facts.link), served)
    const other = await acquire({ ...mounter, signal: this.#starting.signal })
    cleanup.defer(() => other[Symbol.asyncDispose]())
    return other
  }

  async #mount(named: ContainerClaim | undefined): Promise<MountLease> {
    const options = this.#options
    const link = named === undefined ? options.link : linkFor(named, options)
    const ahead = this.#mounter
    if (link !== options.link) await ahead?.[Symbol.asyncDispose]()
    const acquire = options.record === undefined ? acquireMount : acquireRecordedMount
    return acquire({
      ...mounterOptions(options, link),
      signal: this.#starting.signal,
      onNews: (news) => this.#events.onNews?.(news),
      ...(ahead === undefined || link !== options.link ? {} : { started: ahead })
    })
  }

  async #runClaimed(
    paths: BootPaths,
    claim: ContainerClaim,
    mounted: MountLease,
    cleanup: CleanupStack
  ): Promise<number> {
    const { files } = claim
    const {
      ephemeral = false,
      remove = false,
      readOnly = false,
      privileged = false
    } = this.#options
    this.#files = files
    // A start that fails leaves no trace of a container that was not there before. Once its PID 1 has
    // run, whatever comes, what it wrote is the user's.
    let keep = claim.config !== undefined || claim.orphaned !== undefined
    const onStarted = (): void => void (keep = !ephemeral && !remove)
    cleanup.defer(async () => {
      if (!keep) await removeTree(files.directory)
      await removeUnmounted(files.runtime)
    })
    await makeDirectories(files)
    const idRange = await claimIds(paths, claim, this.#options)
    cleanup.defer(() => unmountAllUnder(files.lower))
    const { lease, lower } = await this.#lower(claim, mounted, idRange, cleanup)
    const config = configOf(claim, lease, this.#options, idRange)
    await writeDurableJson(files.config, config)
    const first = initialState(paths, claim, lease, this.#options)
    await this.#state.begin(files.state, first)

    const root = { lower, paths: files, ephemeral: ephemeral || readOnly, devices: privileged }
    cleanup.defer(await mountContainerRoot(root))
    this.#checkCancelled()
    const ended = await this.#runPayload(paths, files, lease, { idRange, cleanup, onStarted })
    const exitCode = await this.#exitStatus(ended)
    this.#isRenewed =
      this.#renewal?.aborted === true &&
      this.#lastSignal === undefined &&
      (await this.#stopRequest()) === undefined
    if (keep) {
      const lastExit = { code: exitCode, at: new Date().toISOString() }
      await writeDurableJson(files.config, { ...config, lastExit })
    }
    if (!this.#wasUp(ended) && !this.#isRenewed)
      throw await this.#startFailure(files, ended, { keep })
    return exitCode
  }

  async #runPayload(
    paths: BootPaths,
    files: ContainerPaths,
    lease: MountLease,
    {
      idRange,
      cleanup,
      onStarted
    }: { idRange: IdRange | undefined; cleanup: CleanupStack; onStarted: () => void }
  ): Promise<number> {
    const { start } = lease.facts
    const [options, console] = [this.#options, this.#console]
    const checkCancelled = (): void => this.#checkCancelled()
    const typing = {
      onTyping: () => this.#events.onTyping?.(),
      onRequest: (request: ConsoleRequest) => void this.#requested(request).catch(() => {})
    }
    const container = await launchContainer(
      { paths, files, start, options, idRange, console, typing, checkCancelled },
      cleanup
    )
    this.#container = container
    // A stop that came while nspawn was being started found nothing to end.
    if (this.#starting.signal.aborted) await container.kill()
    await this.#state.update({ nspawn: container.nspawn.identity, cgroups: container.cgroups() })
    const leader = await container.started()
    if (leader === undefined) throw await this.#startFailure(files, await container.exited)
    onStarted()
    const state = this.#stopping ? 'stopping' : 'running'
    await this.#state.update({ leader, cgroups: container.cgroups(), state, reached: 'startedMs' })
    const exitCode = await watchContainer(container, this.#state, this.#readiness, {
      onReady: (state) => {
        // Reads report a mounter that has died.
        const { name, mode, marks } = state
        const start = { container: name, mode, marks }
        lease.ready({ isStarted: mode === 'boot', start }).catch(() => {})
        this.#events.onReady?.(state)
      }
    })
    if (options.record !== undefined) {
      // Not as an argument below: it would not be evaluated where nobody listens.
      const profile = await lease.endRecording({ keep: options.record === 'home' })
      this.#events.onRecorded?.(profile)
    }
    return exitCode
  }

  async #exitStatus(exitCode: number): Promise<number> {
    // The process that asked for it may have killed it, too.
    const isKilled =
      this.#isKilled || (this.#stopping && (await this.#stopRequest())?.killed === true)
    if (isKilled && (exitCode !== 0 || this.#state.current?.mode === 'boot')) return KILLED_STATUS
    const { mode } = this.#state.current ?? {}
    const signalStatus = this.#lastSignal && SIGNAL_EXIT_BASE + constants.signals[this.#lastSignal]
    if (mode === 'process') {
      return KILLED.includes(exitCode) ? (signalStatus ?? exitCode) : exitCode
    }
    return this.#lastSignal === 'SIGINT' ? (signalStatus ?? exitCode) : exitCode
  }

  /** Whether one that has ended had been up: a command always, an init when it ended well or said so. */
  #wasUp(exitCode: number): boolean {
    const { mode, ready } = this.#state.current ?? {}
    return (
      mode === 'process' || this.#lastSignal === 'SIGINT' || exitCode === 0 || ready !== undefined
    )
  }

  async #startFailure(
    { name, consoleLog }: ContainerPaths,
    exitCode: number,
    { keep = false } = {}
  ): Promise<ContainerError> {
    const kept = keep ? `what it wrote is kept: dat-container rm ${name} deletes it` : ''
    if (this.#starting.signal.aborted) {
      return startCancelled(this.#state.current?.leader ? name : undefined, keep)
    }
    const lastWords = this.#console === 'log' ? await readLogTail(consoleLog, 3) : ''
    const detail = lastWords === '' ? '' : `: ${lastWords.replaceAll('\n', ' | ')}`
    return new ContainerError(
      'BOOT_FAILED',
      `the container ended before it was running (exit code ${exitCode})${detail}`,
      { hint: [await lackHint(), kept].filter(Boolean).join('; ') || undefined }
    )
  }

  /** Reads the time-out, in milliseconds, that `stopContainer` requested. */
  async #requestedTimeout(): Promise<number | undefined> {
    return (await this.#stopRequest())?.timeoutMs
  }

  async #stopRequest(): Promise<StopRequest | undefined> {
    if (this.#files === undefined) return undefined
    return await readJsonFile(this.#files.stopRequest, stopRequest)
  }

  async #hold(claiming: Promise<ContainerClaim>, cleanup: CleanupStack): Promise<ContainerClaim> {
    const claim = await claiming
    cleanup.defer(() => claim.lock[Symbol.asyncDispose]())
    return claim
  }

  #checkCancelled(): void {
    if (this.#starting.signal.aborted) throw startCancelled()
  }
}

/**
 * Runs a container in this process from mount to end: image, overlay, systemd-nspawn, and all of it
 * undone in reverse order. Signals to this process are handled meanwhile: a booted container is
 * stopped in order by the first and killed by the second; a command gets Ctrl-C itself.
 *
 * @returns the exit code of the command or of the container; 130 for a booted one that Ctrl-C ended
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
    await options.mounter?.[Symbol.asyncDispose]()
    for (const signal of handled) process.off(signal, onSignal)
  }
}
