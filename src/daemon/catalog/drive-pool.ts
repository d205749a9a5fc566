import { DriveSession, type DriveSessionOptions } from '../../p2p/transfer/drive-session.ts'
import type { PeerNode } from '../../p2p/peers/peer-node.ts'

interface Hold {
  readonly drive: DriveSession
  uses: number
}

/**
 * The drives that are open in this daemon, one instance per key and secret. A drive stays open while somebody uses
 * it: the seed list counts as one user, each client session as another.
 */
export class DrivePool implements AsyncDisposable {
  readonly #node: PeerNode
  readonly #onFork: (key: Buffer) => void
  readonly #holds = new Map<string, Hold>()

  /** @param onFork called when a drive has two histories */
  constructor(node: PeerNode, onFork: (key: Buffer) => void) {
    this.#node = node
    this.#onFork = onFork
  }

  /**
   * Opens or shares a drive; each call needs one {@link DrivePool.release}.
   *
   * @param role `owner` announces, `reader` looks for peers first, `alone` does neither
   */
  acquire(
    key: Buffer,
    secret: Buffer | undefined,
    role: DriveSessionOptions['role']
  ): DriveSession {
    const id = holdId(key, secret)
    let hold = this.#holds.get(id)
    if (!hold) {
      const onFork = (): void => this.#onFork(key)
      hold = { drive: new DriveSession({ node: this.#node, key, secret, role, onFork }), uses: 0 }
      this.#holds.set(id, hold)
    }
    hold.uses++
    return hold.drive
  }

  /** Gives a drive back; the last to do so closes it. */
  async release(drive: DriveSession): Promise<void> {
    const id = holdId(drive.key, drive.secret)
    const hold = this.#holds.get(id)
    if (!hold || --hold.uses > 0) return
    this.#holds.delete(id)
    await drive[Symbol.asyncDispose]()
  }

  /** The open drive of a key, whichever way it is open. */
  find(key: Buffer, secret: Buffer | undefined): DriveSession | undefined {
    return this.#holds.get(holdId(key, secret))?.drive
  }

  /** How many use a drive; 0 for one that is not open. */
  usesOf(drive: DriveSession): number {
    const hold = this.#holds.get(holdId(drive.key, drive.secret))
    return hold?.drive === drive ? hold.uses : 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const holds = [...this.#holds.values()]
    this.#holds.clear()
    await Promise.allSettled(holds.map(({ drive }) => drive[Symbol.asyncDispose]()))
  }
}

function holdId(key: Buffer, secret: Buffer | undefined): string {
  return `${key.toString('hex')}:${secret?.toString('hex') ?? 'blind'}`
}
