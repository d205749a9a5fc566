import { putYoungest } from '../../core/put-youngest.ts'

/** What a peer has told: it is sending a block to another one. */
export interface AnnouncedBlock {
  /** Public key of the sender, in hex. */
  readonly sender: string
  /** The beginning of the receiver's public key, in hex. */
  readonly receiver: string
  readonly block: number
  /** When it was told. Milliseconds. */
  readonly atMs: number
}

/** A peer that makes up notices costs no more memory than this; the oldest go first. */
const MOST = 16_384

/** Blocks that peers have told to be on their way to others, until they are here. */
export class AnnouncedBlocks {
  /** By block, then by sender. */
  readonly #byBlock = new Map<number, Map<string, AnnouncedBlock>>()

  add(notice: AnnouncedBlock): void {
    const bySender = this.#byBlock.get(notice.block) ?? new Map<string, AnnouncedBlock>()
    bySender.set(notice.sender, notice)
    putYoungest(this.#byBlock, notice.block, bySender, MOST)
  }

  get(sender: string, block: number): AnnouncedBlock | undefined {
    return this.#byBlock.get(block)?.get(sender)
  }

  /** Forgets a block that is here. */
  remove(block: number): void {
    this.#byBlock.delete(block)
  }

  /** Forgets what a peer has told, and what is on its way to it. @param peer its public key, in hex */
  forget(peer: string): void {
    for (const [block, bySender] of this.#byBlock) {
      for (const { sender, receiver } of bySender.values()) {
        if (sender === peer || peer.startsWith(receiver)) bySender.delete(sender)
      }
      if (bySender.size === 0) this.#byBlock.delete(block)
    }
  }
}
