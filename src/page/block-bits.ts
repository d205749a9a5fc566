import type { PageLog } from '../rpc/page-protocol.ts'

/** The blocks of a log, as the page was told. */
export class BlockBits {
  readonly blocks: number
  readonly #held: Uint8Array
  readonly #offered: Uint8Array

  constructor({ blocks, held, offered }: PageLog) {
    this.blocks = blocks
    this.#held = bytesOf(held)
    this.#offered = bytesOf(offered)
  }

  isHeld(block: number): boolean {
    return isSet(this.#held, block)
  }

  isOffered(block: number): boolean {
    return isSet(this.#offered, block)
  }
}

function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
}

function isSet(bits: Uint8Array, bit: number): boolean {
  return (((bits[bit >> 3] ?? 0) >> (bit & 7)) & 1) === 1
}
