import { putYoungest } from '../../core/put-youngest.ts'
import { receiverOf, type Sending } from './crowd-messages.ts'

/** Requests of one moment are told together. */
const GATHER_MS = 5
/** Newcomers are told of blocks that were requested so long before at most, and of so many: the last ones. */
const RECENT_MS = 15_000
const MOST_RECENT = 4_000

interface Noted {
  readonly receiver: string
  readonly block: number
  readonly atMs: number
}

/** Which blocks peers have requested from this machine, so that the others can be told. */
export class SendingNotices implements Disposable {
  readonly #tell: (notices: readonly Noted[]) => void
  readonly #now: () => number
  #fresh: Noted[] = []
  /** By block, in the order of time. */
  readonly #recent = new Map<number, Noted>()
  #timer: NodeJS.Timeout | undefined

  /**
   * @param tell called with what was noted, soon after
   * @param now milliseconds since any moment
   */
  constructor(tell: (notices: readonly Noted[]) => void, now = (): number => performance.now()) {
    this.#tell = tell
    this.#now = now
  }

  /** A peer has requested a block. */
  note(receiver: Buffer, block: number): void {
    const noted = { receiver: receiverOf(receiver.toString('hex')), block, atMs: this.#now() }
    putYoungest(this.#recent, block, noted, MOST_RECENT)
    this.#fresh.push(noted)
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#tell(this.#fresh.splice(0))
    }, GATHER_MS)
  }

  /** What a newcomer is told. */
  get recent(): readonly Noted[] {
    const since = this.#now() - RECENT_MS
    return [...this.#recent.values()].filter(({ atMs }) => atMs > since)
  }

  /** Forgets what a peer that has gone has requested. */
  forget(receiver: Buffer): void {
    const gone = receiverOf(receiver.toString('hex'))
    for (const { receiver: each, block } of this.#recent.values()) {
      if (each === gone) this.#recent.delete(block)
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }
}

/** What of these is told to one peer: not what that one has requested itself. */
export function sendingFor(peer: Buffer, notices: Iterable<Noted>): readonly Sending[] {
  const byReceiver = new Map<string, number[]>()
  const itself = receiverOf(peer.toString('hex'))
  for (const { receiver, block } of notices) {
    if (receiver === itself) continue
    const blocks = byReceiver.get(receiver)
    if (blocks) blocks.push(block)
    else byReceiver.set(receiver, [block])
  }
  return [...byReceiver].map(([receiver, blocks]) => ({ receiver, blocks }))
}
