import { setTimeout as sleep } from 'node:timers/promises'
import type { NotifySocket } from './notify-socket.ts'
import { isAlive, type ProcessIdentity } from '../../core/host/process-table.ts'

const FIRST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 1000
/** A look costs next to nothing; nobody sees whether it comes this part of the time late. */
const PART_OF_TIME = 1 / 50

/** What a container's init says when it is up. Whether parts of it failed, it does not say. */
export const READY = 'running'

/**
 * What systemd-nspawn tells of its container by sd_notify(3). No program of the image is run for it:
 * its init tells nspawn, and nspawn passes on that it is ready.
 */
export class NspawnNotices {
  readonly #socket: NotifySocket
  readonly #nspawn: ProcessIdentity
  #leaderPid: number | undefined
  #isReady = false

  constructor(socket: NotifySocket, nspawn: ProcessIdentity) {
    this.#socket = socket
    this.#nspawn = nspawn
  }

  /** The process id that the container's PID 1 has, or had, on the host: it has been started. */
  leaderPid(): number | undefined {
    this.look()
    return this.#leaderPid
  }

  /**
   * Waits until the container's init says that its start-up has ended.
   *
   * @returns undefined when the container ended first, or `signal` was aborted; an init that never says
   *   so is waited for until then
   */
  async ready(signal: AbortSignal): Promise<typeof READY | undefined> {
    const began = performance.now()
    while (!signal.aborted) {
      this.look()
      if (this.#isReady) return READY
      if (!isAlive(this.#nspawn)) return undefined
      const pauseMs = (performance.now() - began) * PART_OF_TIME
      await sleep(Math.min(Math.max(pauseMs, FIRST_PAUSE_MS), LONGEST_PAUSE_MS), undefined, {
        signal
      }).catch(() => {})
    }
    return undefined
  }

  /** Takes what has come, so that nspawn need not wait to say more. */
  look(): void {
    for (const { pid, text } of this.#socket.receive()) {
      // Nobody else is to speak for it, whoever may reach the socket.
      if (pid === this.#nspawn.pid) this.#note(text.split('\n'))
    }
  }

  #note(lines: readonly string[]): void {
    const leader = lines.find((line) => /^X_NSPAWN_LEADER_PID=\d+$/.test(line))
    if (leader !== undefined) this.#leaderPid = Number(leader.split('=')[1])
    // What wraps nspawn has its process id before it; its container is there only afterwards.
    if (this.#leaderPid !== undefined && lines.includes('READY=1')) this.#isReady = true
  }
}
