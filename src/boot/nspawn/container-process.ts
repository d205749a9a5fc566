import { basename } from 'node:path'
import { cgroupsOf, killCgroups } from './cgroup.ts'
import type { NotifySocket } from './notify-socket.ts'
import { findLeader, waitForLeader, type NspawnProcess } from './nspawn-process.ts'
import {
  childrenOf,
  identify,
  isAlive,
  signalProcess,
  waitForExit,
  type ProcessIdentity
} from '../../core/host/process-table.ts'
import { NspawnNotices } from './readiness.ts'
import { killContainer, type StopTarget } from './stop-control.ts'

export interface ContainerProcessOptions {
  readonly nspawn: NspawnProcess
  /** The messages of that nspawn about the container. */
  readonly notify: NotifySocket
  readonly mode: StopTarget['mode']
  /** Cgroups that were made for it; empty where a scope unit of systemd has that job. */
  readonly cgroups: readonly string[]
  /** Name of that scope unit. */
  readonly unit: string
  /** nspawn has the user's terminal, which only itself can set back. */
  readonly ownsTerminal: boolean
  readonly stopSignal?: string | undefined
}

const EXIT_TIMEOUT_MS = 10_000

/** A started systemd-nspawn and the PID 1 below it, which changes when the container reboots. */
export class ContainerProcess {
  readonly #options: ContainerProcessOptions
  readonly notices: NspawnNotices
  #leader: ProcessIdentity | undefined

  constructor(options: ContainerProcessOptions) {
    this.#options = options
    this.notices = new NspawnNotices(options.notify, options.nspawn.identity)
  }

  get nspawn(): NspawnProcess {
    return this.#options.nspawn
  }

  get exited(): Promise<number> {
    return this.nspawn.exited
  }

  /** Waits for PID 1, which may have ended meanwhile; undefined when nspawn ended without. */
  async started(): Promise<ProcessIdentity | undefined> {
    this.#leader = (await waitForLeader(this.nspawn)) ?? this.#endedLeader()
    return this.#leader
  }

  /** Stands for a process that had ended before it was identified. No process has this start time. */
  #endedLeader(): ProcessIdentity | undefined {
    const pid = this.notices.leaderPid()
    return pid === undefined ? undefined : { pid, startTicks: 0 }
  }

  /** The parts to stop; undefined while there is no PID 1. */
  target(): StopTarget | undefined {
    const { mode, stopSignal } = this.#options
    if (this.#leader === undefined) return undefined
    this.#leader = findLeader(this.nspawn.identity.pid) ?? this.#leader
    const target = { mode, leader: this.#leader, cgroups: this.cgroups() }
    return stopSignal === undefined ? target : { ...target, stopSignal }
  }

  /** The container's cgroups; none while systemd has not moved it into its scope. */
  cgroups(): readonly string[] {
    const { cgroups, unit } = this.#options
    if (cgroups.length > 0) return cgroups
    return cgroupsOf(this.nspawn.identity.pid).filter((path) => basename(path) === `${unit}.scope`)
  }

  /** The new PID 1 when there is another than before. */
  rebooted(): ProcessIdentity | undefined {
    if (this.#leader === undefined || isAlive(this.#leader)) return undefined
    const leader = findLeader(this.nspawn.identity.pid)
    if (leader !== undefined) this.#leader = leader
    return leader
  }

  /**
   * Kills what there is, at whatever stage it is: nspawn too, unless it has the terminal. Its
   * processes complain of each other's death, so all are stopped before the first is killed.
   */
  async kill(): Promise<void> {
    const { identity } = this.nspawn
    const cgroups = this.cgroups()
    const leader = findLeader(identity.pid) ?? this.#leader
    if (leader === undefined || !this.#options.ownsTerminal) {
      const family = [identity, ...descendants(identity.pid)]
      for (const signal of ['SIGSTOP', 'SIGKILL'] as const) {
        for (const member of family) signalProcess(member, signal)
      }
    }
    if (leader !== undefined) await killContainer({ mode: 'boot', leader, cgroups })
    else await killCgroups(cgroups)
  }

  /** A failure after nspawn was started may leave it running; kill -9 of nspawn leaves its PID 1. */
  async end(): Promise<void> {
    const { identity } = this.nspawn
    const cgroups = this.cgroups()
    const leader = findLeader(identity.pid) ?? this.#leader
    if (leader !== undefined && isAlive(leader)) {
      await killContainer({ mode: 'boot', leader, cgroups })
    }
    if (isAlive(identity) && !(await waitForExit(identity, EXIT_TIMEOUT_MS))) {
      signalProcess(identity, 'SIGKILL')
    }
    await killCgroups(cgroups)
  }
}

/** All processes below `pid` that are there now. */
function descendants(pid: number): ProcessIdentity[] {
  return childrenOf(pid).flatMap((child) => {
    const identity = identify(child)
    return [...(identity === undefined ? [] : [identity]), ...descendants(child)]
  })
}
