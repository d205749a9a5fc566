import { setTimeout as sleep } from 'node:timers/promises'
import { untilAborted } from '../../core/abort.ts'
import type { NotifySocket } from './notify-socket.ts'
import { isAlive, type ProcessIdentity } from '../../core/host/process-table.ts'

/** A container that tells without end is listened to no more often than this. */
const LEAST_PAUSE_MS = 50

/** The states that a container's init reports. It does not report failed units. */
export const READY = 'running'

/**
 * The messages that systemd-nspawn sends about its container by sd_notify(3). The container's init reports
 * readiness to nspawn, which passes it on; no program of the image runs outside for that.
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
    await this.listen(signal, () => this.#isReady || !isAlive(this.#nspawn))
    return this.#isReady ? READY : undefined
  }

  /**
   * Takes what nspawn tells as it comes, until `signal` is aborted or the socket is closed.
   *
   * @param isEnough called after each time that something may have come: true ends it
   */
  async listen(signal: AbortSignal, isEnough: () => boolean): Promise<void> {
    for (;;) {
      this.look()
      if (signal.aborted || isEnough() || !this.#socket.isOpen) return
      await untilAborted(this.#socket.arrival(), signal).catch(() => {})
      if (!signal.aborted) await sleep(LEAST_PAUSE_MS, undefined, { signal }).catch(() => {})
    }
  }

  /** Takes what has come, so that nspawn need not wait to say more. */
  look(): void {
    for (const { pid, text } of this.#socket.receive()) {
      // Messages of other processes that can reach the socket are ignored.
      if (pid === this.#nspawn.pid) this.#note(text.split('\n'))
    }
  }

  #note(lines: readonly string[]): void {
    const leader = lines.find((line) => /^X_NSPAWN_LEADER_PID=\d+$/.test(line))
    if (leader !== undefined) this.#leaderPid = Number(leader.split('=')[1])
    // The wrapper of nspawn has the same process id earlier; the container exists only afterwards.
    if (this.#leaderPid !== undefined && lines.includes('READY=1')) this.#isReady = true
  }
}
