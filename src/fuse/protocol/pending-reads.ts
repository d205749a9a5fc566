import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** How often a process that got a signal is looked at again while it waits. */
const LOOK_MS = 100
/** SIGKILL among the signals of /proc/PID/status. */
const SIGKILL_BIT = 1n << 8n

/**
 * Reads that wait for content, so that the reading process can be killed: the kernel keeps a process until
 * its request is answered. It tells of any signal, and once; a read of a file does not fail for one
 * that the process lives through, so such a process is watched until it is answered or killed.
 */
export class PendingReads {
  readonly #waiting = new Map<bigint, { readonly pid: number; readonly giveUp: () => void }>()

  /** @param giveUp answers the request; is called once, if at all */
  add(unique: bigint, pid: number, giveUp: () => void): void {
    this.#waiting.set(unique, { pid, giveUp })
  }

  /** @returns whether it was still waiting: the caller that gets `true` answers it */
  remove(unique: bigint): boolean {
    return this.#waiting.delete(unique)
  }

  /** The one who waits for `unique` got a signal. */
  async interrupt(unique: bigint): Promise<void> {
    for (;;) {
      const waiting = this.#waiting.get(unique)
      if (waiting === undefined) return
      if (await isDying(waiting.pid)) {
        if (this.remove(unique)) waiting.giveUp()
        return
      }
      await sleep(LOOK_MS, undefined, { ref: false })
    }
  }
}

/**
 * Whether a thread is dying: the kernel adds SIGKILL to the pending signals of each thread after any fatal
 * signal. A thread that cannot be seen (another pid namespace) counts as dying: a failed read is better than
 * a process that nothing can end.
 */
async function isDying(pid: number): Promise<boolean> {
  if (pid === 0) return true
  try {
    const status = await readFile(`/proc/${pid}/status`, 'latin1')
    const pending = [...status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)]
    return pending.some(([, mask]) => (BigInt(`0x${mask}`) & SIGKILL_BIT) !== 0n)
  } catch {
    return true
  }
}
