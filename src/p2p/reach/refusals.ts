import type { SwarmConnection } from 'hyperswarm'
import Protomux from 'protomux'
import { BackOff } from '../../core/back-off.ts'

/** The name says it all: the channel has no messages. */
const PROTOCOL = 'dat-container/refused/1'
/** How long a peer may take to read that it is refused. */
const READ_MS = 1_000
/** After the first refusal a peer is not dialed for this time, then for twice as long each time, up to the most. */
const FIRST_REST_MS = 5_000
const MOST_REST_MS = 10 * 60_000

/**
 * Tells a peer that its key is not on the list of this machine, and ends the connection. Nothing of what it sends is
 * answered. The peer must know this machine's key or address already, so the message gives away nothing else.
 */
export function refuse(connection: SwarmConnection): void {
  Protomux.from(connection).createChannel({ protocol: PROTOCOL, messages: [] })?.open()
  connection.end()
  const timer = setTimeout(() => connection.destroy(), READ_MS).unref()
  connection.once('close', () => clearTimeout(timer))
}

/** Peers that have refused this machine, by public key or address. They are seldom dialed again. */
export class Refusals {
  readonly #backOff = new BackOff({ firstMs: FIRST_REST_MS, mostMs: MOST_REST_MS })

  /** Hears of a refusal on a connection. @param names of the peer, each of which {@link isResting} may be asked for */
  listen(connection: SwarmConnection, names: () => readonly string[]): void {
    Protomux.from(connection).pair({ protocol: PROTOCOL }, () => {
      for (const name of new Set(names())) this.#backOff.note(name)
      connection.destroy()
    })
  }

  /** Whether a peer has refused this machine. */
  has(name: string): boolean {
    return this.#backOff.has(name)
  }

  /** Whether a peer has refused this machine so recently that it is not to be dialed. */
  isResting(name: string): boolean {
    return this.#backOff.isResting(name)
  }
}
