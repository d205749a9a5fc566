import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { openHome, type HomePaths } from '../../home/home.ts'
import type {
  BeginOpening,
  ImageNews,
  ImageSession,
  OpeningImage
} from '../../session/connection/image-session.ts'
import { writeLocalProfile } from '../../home/local-profile.ts'
import { cacheMetadata, metadataFile } from '../../home/metadata-cache.ts'
import { startOf } from '../../session/open/start-order.ts'
import { bindMount, unmount } from '../../fuse/linux/bind-mount.ts'
import { MOUNT_FLAG } from '../../fuse/linux/mount-syscall.ts'
import { readMountTable } from '../../fuse/linux/mount-table.ts'
import type {
  MountContent,
  MountedImage,
  MountImageOptions
} from '../../fuse/content/mounted-image.ts'
import { EscapedTree, hasOverlayMarks } from '../../fuse/content/escaped-tree.ts'
import { isKeepable } from '../../fuse/erofs/kept-metadata.ts'
import { ShiftedTree } from '../../fuse/content/shifted-tree.ts'
import type { TakeOverOptions } from '../../fuse/take-over-image.ts'
import { monotonicMs, processBeganMs, processorMs } from '../../core/monotonic-clock.ts'
import type { BootProfile } from '../../image/format/boot-profile.ts'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import { placeProfile } from '../../image/format/profile-places.ts'
import { inheritedLock, type KernelLock } from '../../core/host/kernel-lock.ts'
import { MounterServer } from './mounter-server.ts'
import { readJsonFile } from '../../core/json-file.ts'
import {
  type BindPowers,
  type ContainerReady,
  type MounterRequest,
  type MounterState,
  type MountFacts,
  type TakeOver,
  mounterState,
  toOpen
} from '../lease/mounter-protocol.ts'
import { lockOrFindOther } from './mounter-lock.ts'
import { MounterStateFile } from './mounter-state.ts'
import { MountUse } from './mount-use.ts'
import type { Interval } from '../state/intervals.ts'
import { mountFigures } from '../lease/mount-figures.ts'
import { startNote } from '../lease/start-note.ts'
import { timeMount, traceMount, type MountMarks, type MountTrace } from '../lease/mount-trace.ts'
import { removeUnmounted } from '../../fuse/linux/mount-cleanup.ts'
import { openMounterLog } from './mounter-log.ts'
import { bootPaths, mounterPaths, mounterPathsOf, type MounterPaths } from '../state/paths.ts'
import { StallWatch } from '../lease/stall-watch.ts'
import { DEVICE_FD, LOCK_FD } from './standby.ts'
import { StartRecorder } from '../lease/start-recorder.ts'
import { openPatiently, Succession } from './succession.ts'

/** The layers below that a mounter puts together. */
export interface MounterParts {
  readonly beginOpening: BeginOpening
  readonly mountImage: (options: MountImageOptions) => Promise<MountedImage>
  readonly takeOverImage: (options: TakeOverOptions) => Promise<MountedImage>
  /** Clears what a killed mounter left in its directory. */
  readonly unmountStale: (directory: string) => Promise<void>
}

type Greet = (socket: string, news: ImageNews | undefined) => void

/**
 * Opens, mounts and serves one image version until nobody uses it or `signal` aborts. When another
 * mounter has that version, greets with its socket and returns.
 *
 * @param greet called once with the socket to lease from, and what is to be known of the image
 * @throws ContainerError whatever opening or mounting threw, when that came before the greeting
 */
export async function runMounter(
  request: MounterRequest,
  parts: MounterParts,
  greet: Greet,
  signal: AbortSignal
): Promise<void> {
  const { takeOver } = request
  if (takeOver !== undefined) return goOn({ ...request, takeOver }, parts, signal)
  await using opening = await parts.beginOpening({ ...toOpen(request), signal })
  const { key, version } = opening
  // Named after the mode that was asked for: what `auto` comes to is one answer.
  const paths = mounterPaths(bootPaths(request.home), key, version, request)
  const mounter = new Mounter({ opening, paths, parts, request, signal })
  mounter.openAhead()
  const lock = await lockOrFindOther(paths, signal)
  if (lock === undefined) {
    greet(paths.socket, opening.news)
    return
  }
  await using _held = lock
  await clearMounterDirectory(paths, parts.unmountStale)
  await mkdir(paths.image, { recursive: true, mode: 0o700 })
  await mounter.run(lock, greet)
}

/** Takes over from a mounter that has died: the mount and its users still exist. */
async function goOn(
  request: MounterRequest & { readonly takeOver: TakeOver },
  parts: MounterParts,
  signal: AbortSignal
): Promise<void> {
  const paths = mounterPathsOf(bootPaths(request.home), request.takeOver.mount)
  await using lock = inheritedLock(paths.lock, LOCK_FD)
  const state = await readJsonFile(paths.state, mounterState)
  if (state === undefined) throw new ContainerError('MOUNT_FAILED', 'the mount is gone')
  const open = toOpen(request)
  await using opening = await openPatiently(() => parts.beginOpening({ ...open, signal }), signal)
  await rm(paths.socket, { force: true })
  await new Mounter({ opening, paths, parts, request, signal, before: state }).run(lock, () => {})
}

interface MounterOptions {
  readonly opening: OpeningImage
  readonly paths: MounterPaths
  readonly parts: MounterParts
  readonly request: MounterRequest
  readonly signal: AbortSignal
  /** The state that the predecessor left, if this mounter takes over. */
  readonly before?: MounterState
}

class Mounter {
  readonly #opening: OpeningImage
  readonly #paths: MounterPaths
  readonly #parts: MounterParts
  readonly #request: MounterRequest
  readonly #before: MounterState | undefined
  readonly #home: HomePaths
  /** Path for caching the metadata image of this version; undefined for a tree that is changed for a container. */
  readonly #kept: string | undefined
  readonly #recorder = new StartRecorder()
  readonly #signal: AbortSignal
  readonly #state: MounterStateFile
  readonly #use: MountUse
  #stalls: StallWatch | undefined
  /** The home has a profile of this start, or nobody wants one any more. */
  #isKept: boolean
  #succession: Succession | undefined
  #wasReady = false
  /** Whether the image holds what overlayfs would take for its own. */
  #hasOverlayMarks: boolean
  #isKeepable = true
  readonly #times = { mountingMs: 0, mountedMs: 0 }
  /** Processor times of the start of the first container that was ready. */
  #cpu: Promise<MountMarks['cpu']> | undefined

  constructor({ opening, paths, parts, request, signal, before }: MounterOptions) {
    this.#opening = opening
    this.#paths = paths
    this.#state = new MounterStateFile(paths.state)
    this.#use = new MountUse(this.#state, request.record === true)
    this.#parts = parts
    this.#request = request
    this.#before = before
    this.#hasOverlayMarks = before?.hasOverlayMarks === true
    this.#home = openHome(request.home)
    this.#kept =
      request.idBase === undefined && request.escaped === undefined
        ? metadataFile(this.#home, opening.key, opening.manifest)
        : undefined
    this.#signal = signal
    // Reads before the takeover are not known here.
    this.#isKept = before !== undefined
  }

  /** Has the index decoded as soon as it comes, where nothing is mounted without. */
  openAhead(): void {
    if (this.#request.mode !== 'fuse' && this.#kept && existsSync(this.#kept)) return
    // Its users get the error.
    this.#opening.open().catch(() => {})
  }

  async run(lock: KernelLock, greet: Greet): Promise<void> {
    const { directory, socket } = this.#paths
    this.#succession = new Succession(this.#paths, lock, this.#request, this.#opening.link)
    try {
      const mounting = this.#mount()
      // Users that ask for the mount get the error; there may be none yet.
      mounting.catch(() => {})
      const server = await MounterServer.listen(
        socket,
        {
          mount: async () => (await mounting).facts,
          stats: async () => ({
            ...(await mountFigures(await this.#opening.open())),
            kernelReads: this.#recorder.touches,
            waiting: this.#stalls?.current ?? null
          }),
          ready: async (ready) => {
            // Nobody waits for it, and a daemon of another release may not know of it.
            this.#tellStart(ready, mounting).catch(() => {})
            return this.#noteReady(ready.isStarted)
          },
          trace: async ({ within }) => this.#trace(await this.#marks(mounting), within),
          claimRecording: async () =>
            this.#before === undefined &&
            this.#use.leasesEver === 1 &&
            this.#state.binds.length === 0,
          endRecording: async ({ keep }) => this.#endRecording(keep),
          bind: async ({ target, ...powers }) => this.#bind((await mounting).facts, target, powers),
          unbind: async ({ target }) => this.#unbind(target)
        },
        (leases) => this.#use.leasesAre(leases)
      )
      greet(socket, this.#opening.news)
      try {
        const { mounted } = await mounting
        await this.#succession.begin(mounted.heirloom)
        // Users that asked for the mount are answered before the index is decoded, and continue meanwhile.
        await sleep(0)
        // Reads are told what is wrong.
        this.#serve(mounted).catch(() => {})
        await this.#use.ended(this.#signal)
      } catch {
        // Mounting failed: the greeted ones get to ask and be told why.
        await this.#use.ended(this.#signal)
      } finally {
        this.#use[Symbol.dispose]()
        this.#stalls?.[Symbol.dispose]()
        await server[Symbol.asyncDispose]()
        for (const target of this.#state.binds) await unmount(target, { lazy: 'if-busy' })
        // Before the mount is gone: who waits for that may remove the home then.
        await this.#keepFirstRun()
        const made = await mounting.catch(() => undefined)
        // Or the mount would live on in it.
        await this.#succession.end()
        await this.#keepMetadata(made?.mounted)
        await made?.mounted[Symbol.asyncDispose]()
      }
    } finally {
      await removeUnmounted(directory)
    }
  }

  async #mount(): Promise<{ mounted: MountedImage; facts: MountFacts }> {
    this.#times.mountingMs = monotonicMs()
    const mounted = await this.#mountOrTakeOver()
    try {
      // An image whose index cannot be had is not mounted, whatever is kept of it.
      await this.#opening.arrived()
      this.#times.mountedMs = monotonicMs()
      return { mounted, facts: await this.#describe(mounted) }
    } catch (error) {
      await mounted[Symbol.asyncDispose]()
      throw error
    }
  }

  #mountOrTakeOver(): Promise<MountedImage> {
    const options = {
      content: () => this.#content(),
      directory: this.#paths.image,
      observer: this.#recorder,
      signal: this.#signal
    }
    const { mode, takeOver } = this.#request
    if (this.#before === undefined || takeOver === undefined) {
      const kept = this.#kept === undefined ? {} : { keptMetadata: this.#kept }
      return this.#parts.mountImage({ ...options, mode, ...kept })
    }
    const heirloom = { device: DEVICE_FD, blocks: takeOver.blocks }
    return this.#parts.takeOverImage({ ...options, mode: this.#before.mode, heirloom })
  }

  async #describe(mounted: MountedImage): Promise<MountFacts> {
    const { manifest, link, key, version } = this.#opening
    const facts: MountFacts = {
      link: link.toString(),
      key,
      version,
      rootfs: mounted.rootfs,
      mode: mounted.mode,
      image: manifest.name,
      arch: manifest.arch,
      start: manifest.start,
      pid: process.pid,
      // No metadata image of one that has them is kept, so that they are known before the index is decoded.
      ...(this.#hasOverlayMarks && { hasOverlayMarks: true })
    }
    const entry = (await readMountTable()).find(({ mountPoint }) => mountPoint === mounted.rootfs)
    const device = entry?.device ?? ''
    const { binds = [], restarts = 0 } = this.#before ?? {}
    const again = this.#before === undefined ? restarts : restarts + 1
    const restartedAt = again === 0 ? null : new Date().toISOString()
    await this.#state.write({
      ...{ ...facts, device, binds, restarts: again, restartedAt },
      waiting: null
    })
    if (again > 0) await this.#logRestart(again)
    return facts
  }

  async #logRestart(restarts: number): Promise<void> {
    const log = await openMounterLog(this.#home, this.#opening.manifest)
    log.warn(
      { pid: process.pid, before: this.#before?.pid, restarts },
      'a mounter died; its successor goes on'
    )
  }

  /** Serves reads, and first loads what a recorded start reads into the page cache if it is local. */
  async #serve(mounted: MountedImage): Promise<void> {
    await mounted.serve()
    await this.#watchStalls()
    if (this.#request.record === true || this.#before !== undefined) return
    const session = await this.#opening.open()
    const chunks = recordedChunks(session)
    if (chunks && (await session.holdsAll?.(chunks)) === true) await mounted.preload(chunks)
  }

  async #content(): Promise<MountContent> {
    const session = await this.#opening.open()
    const { chunks } = session
    const { idBase, escaped } = this.#request
    this.#hasOverlayMarks = hasOverlayMarks(session.tree)
    this.#isKeepable = isKeepable(session.tree, this.#hasOverlayMarks)
    const found = escaped === true ? new EscapedTree(session.tree) : session.tree
    const tree = idBase === undefined ? found : new ShiftedTree(found, idBase)
    const recorded = recordedChunks(session)
    return { tree, chunks, foreseen: recorded && new Set(recorded) }
  }

  async #trace(marks: MountMarks, within: Interval): Promise<MountTrace> {
    return traceMount(await this.#opening.open(), this.#recorder.waits, marks, within)
  }

  async #tellStart({ start }: ContainerReady, mounting: Promise<unknown>): Promise<void> {
    if (start === undefined) return
    await mounting
    const session = await this.#opening.open()
    const { waits } = this.#recorder
    const note = startNote(start, (within) =>
      timeMount(session, waits, { processMs: processBeganMs(), ...this.#times }, within)
    )
    if (note !== undefined) await session.noteStart?.(note)
  }

  #noteReady(isStarted: boolean): null {
    this.#wasReady = true
    this.#cpu ??= this.#cpuSinceOpening()
    // It is awaited, with its error, where it is needed.
    this.#cpu.catch(() => {})
    if (isStarted) this.#recorder.markReady()
    return null
  }

  async #cpuSinceOpening(): Promise<MountMarks['cpu']> {
    const mounterMs = processorMs()
    const session = await this.#opening.open()
    const { opening } = session
    if (opening === undefined) return null
    const { daemonCpuMs } = await session.stats()
    return { daemonMs: daemonCpuMs - opening.daemonCpuMs, mounterMs }
  }

  async #marks(mounting: Promise<unknown>): Promise<MountMarks> {
    await mounting
    const cpu = (await this.#cpu?.catch(() => null)) ?? null
    return { processMs: processBeganMs(), ...this.#times, cpu }
  }

  async #endRecording(keep: boolean): Promise<BootProfile> {
    if (this.#before !== undefined) {
      throw new ContainerError('MOUNT_FAILED', 'the mounter died, and its recording with it', {
        hint: 'record the start again'
      })
    }
    const profile = this.#recorder.end()
    this.#isKept = true
    if (keep) await this.#keep(profile)
    return profile
  }

  /**
   * If this start was not recorded before, saves its recording for the next cold one. Written when
   * nobody uses the mount any more, and so nobody waits for it.
   */
  async #keepFirstRun(): Promise<void> {
    if (this.#isKept || !this.#wasReady) return
    try {
      const { startOrder } = await this.#opening.open()
      if (startOrder?.source !== 'guess') return
      await this.#keep(this.#recorder.end())
    } catch (error) {
      // Nobody asked for it.
      if (!isContainerError(error)) throw error
    }
  }

  async #keep(profile: BootProfile): Promise<void> {
    const { manifest, tree, key, version } = await this.#opening.open()
    const start = startOf(manifest, this.#request.run ?? 'image')
    const placed = placeProfile(tree, profile)
    await writeLocalProfile(this.#home, key, start, { version, ...placed })
  }

  /** Caches the metadata image for the next mount of this version. A failure is ignored. */
  async #keepMetadata(mounted: MountedImage | undefined): Promise<void> {
    // An image that is started to be recorded may be temporary.
    const isKept = this.#request.record !== true && this.#isKeepable
    const kept = isKept ? this.#kept : undefined
    if (mounted?.metadata === undefined || kept === undefined) return
    try {
      await cacheMetadata(mounted.metadata, kept)
    } catch (error) {
      if (!isContainerError(error)) throw error
    }
  }

  async #watchStalls(): Promise<void> {
    const session = await this.#opening.open()
    let log: ReturnType<typeof openMounterLog> | undefined
    this.#stalls = new StallWatch(
      session,
      this.#recorder.reading,
      () => (log ??= openMounterLog(this.#home, session.manifest)),
      // Other processes read the file. If writing fails, the next change writes it.
      (waiting) => void this.#state.write({ waiting }).catch(() => {})
    )
  }

  async #bind({ rootfs }: MountFacts, target: string, powers: BindPowers): Promise<null> {
    await bindMount(rootfs, target, { flags: bindFlags(powers) })
    await this.#use.bind(target)
    return null
  }

  async #unbind(target: string): Promise<null> {
    if (!this.#state.binds.includes(target)) {
      throw new ContainerError('NOT_FOUND', `${target} is not a mount of this image`)
    }
    await unmount(target)
    await this.#use.unbind(target)
    return null
  }
}

function bindFlags({ suid = false, dev = false }: BindPowers): number {
  const { readOnly, noSuid, noDev } = MOUNT_FLAG
  return readOnly | (suid ? 0 : noSuid) | (dev ? 0 : noDev)
}

/** Empties a mounter's directory after a predecessor that died; the caller holds the lock. */
export async function clearMounterDirectory(
  paths: MounterPaths,
  unmountStale: (directory: string) => Promise<void>
): Promise<void> {
  await unmountStale(paths.image)
  await removeUnmounted(paths.directory)
}

/** The chunks that a start is known to read; a guess does not count. */
function recordedChunks({
  startOrder
}: Pick<ImageSession, 'startOrder'>): readonly number[] | undefined {
  return startOrder?.source === 'guess' ? undefined : startOrder?.chunks
}
