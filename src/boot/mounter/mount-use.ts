import { closeSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { DescriptorEvents, POLLPRI } from '../../core/host/descriptor-events.ts'
import { readMountTable } from '../../fuse/linux/mount-table.ts'
import type { MounterStateFile } from './mounter-state.ts'

/** How long an image stays mounted with nobody using it: saves the remount between two commands. */
const GRACE_MS = 2_000
/** A starter that dies between greeting and lease leaves the mounter to this. */
const FIRST_LEASE_MS = 15_000
/** The table of mounts is read no more often. */
const PAUSE_MS = 100

/**
 * The users of a mounted image: leases, and directories at which it is bound. It needs no timer: leases report
 * their end, and the kernel reports unmounting by hand.
 */
export class MountUse implements Disposable {
  readonly #state: MounterStateFile
  readonly #graceMs: number
  #leases = 0
  #leasesEver = 0
  #timer: NodeJS.Timeout | undefined
  #table: MountTableEvents | undefined
  /** Somebody waits for the end, and so takes the image down when it comes. Until then nothing has ended. */
  #isAwaited = false
  #end: () => void = () => {}
  readonly #unused: Promise<void>

  /** @param goesAtOnce no command is waited for that might use it next */
  constructor(state: MounterStateFile, goesAtOnce: boolean) {
    this.#state = state
    this.#graceMs = goesAtOnce ? 0 : GRACE_MS
    this.#unused = new Promise((resolve) => (this.#end = resolve))
  }

  /** How many leases there have been. */
  get leasesEver(): number {
    return this.#leasesEver
  }

  leasesAre(leases: number): void {
    if (leases > this.#leases) this.#leasesEver++
    this.#leases = leases
    this.#look()
  }

  /** Notes that the image is shown at `target`. */
  async bind(target: string): Promise<void> {
    await this.#bindsAre([...this.#state.binds, target])
  }

  async unbind(target: string): Promise<void> {
    await this.#bindsAre(this.#state.binds.filter((bind) => bind !== target))
  }

  /**
   * Resolves when nobody has used the image for a while, or `signal` is aborted. What went by before the call does
   * not count: peers may be looked for meanwhile, and who comes while they are is a user like any other.
   */
  async ended(signal: AbortSignal): Promise<void> {
    this.#isAwaited = true
    // A predecessor may have left some.
    this.#look()
    if (signal.aborted) return
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
    await Promise.race([this.#unused, aborted])
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#forgetTable()
  }

  #forgetTable(): void {
    this.#table?.[Symbol.dispose]()
    this.#table = undefined
  }

  async #bindsAre(binds: readonly string[]): Promise<void> {
    try {
      await this.#state.write({ binds })
    } finally {
      this.#look()
    }
  }

  #look(): void {
    clearTimeout(this.#timer)
    const hasBinds = this.#state.binds.length > 0
    if (!hasBinds) this.#forgetTable()
    else this.#table ??= new MountTableEvents(() => this.#forgetUnmounted())
    if (this.#leases > 0 || hasBinds || !this.#isAwaited) return
    const grace = this.#leasesEver === 0 ? FIRST_LEASE_MS : this.#graceMs
    this.#timer = setTimeout(this.#end, grace)
  }

  /** Somebody may have unmounted by hand. */
  async #forgetUnmounted(): Promise<void> {
    const mounted = new Set((await readMountTable()).map(({ mountPoint }) => mountPoint))
    const left = this.#state.binds.filter((bind) => mounted.has(bind))
    if (left.length === this.#state.binds.length) return
    // If writing fails, the next change writes it.
    await this.#bindsAre(left).catch(() => {})
  }
}

/** Tells whenever what is mounted in this process's namespace has changed: proc_pid_mountinfo(5), poll(2). */
class MountTableEvents implements Disposable {
  readonly #fd = openSync('/proc/self/mountinfo', 'r')
  readonly #events = new DescriptorEvents(this.#fd, POLLPRI)
  #isDisposed = false

  /** @param onChange called at once, too: something may have changed just before */
  constructor(onChange: () => Promise<void>) {
    void this.#listen(onChange)
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return
    this.#isDisposed = true
    this.#events[Symbol.dispose]()
    closeSync(this.#fd)
  }

  async #listen(onChange: () => Promise<void>): Promise<void> {
    while (!this.#isDisposed) {
      await onChange()
      // Changes come in crowds, as when a container starts.
      await sleep(PAUSE_MS)
      await this.#events.next()
    }
  }
}
