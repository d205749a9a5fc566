import type { SwarmConnection } from 'hyperswarm'
import Protomux from 'protomux'

/** A change of the messages that older peers could not ignore takes another name. */
const PROTOCOL = 'dat-container/direct-address/1'
/** A port, and room for what later versions may add. */
const MOST_BYTES = 32

export interface DirectAddressOptions {
  /** Where this machine listens for direct connections; undefined where it does not. */
  readonly port: number | undefined
  /** Gets the peer's port, once at most. */
  readonly onPort: (port: number) => void
}

/**
 * What two daemons say to each other on a connection of the swarm about a direct one: at which TCP port they
 * listen, and that they need the swarm's connection no longer. A peer that does not know of this rejects
 * the channel, and nothing else happens.
 */
export class DirectAddress {
  readonly #messages: { send(message: Buffer): boolean }[]
  /** Called when the peer says that it is done. */
  onRemoteDone: (() => void) | undefined
  #heardPort = false
  #isRemoteDone = false
  #isDone = false

  constructor(connection: SwarmConnection, { port, onPort }: DirectAddressOptions) {
    const channel = Protomux.from(connection).createChannel({
      protocol: PROTOCOL,
      messages: [
        {
          onmessage: (message) => {
            const told = this.#heardPort ? undefined : decodePort(message)
            if (told === undefined) return
            this.#heardPort = true
            onPort(told)
          }
        },
        {
          onmessage: () => {
            this.#isRemoteDone = true
            this.onRemoteDone?.()
          }
        }
      ]
    })
    this.#messages = channel?.messages ?? []
    channel?.open()
    if (port !== undefined) this.#messages[0]?.send(encodePort(port))
  }

  /** Whether the peer has got all that it asked for over this connection, and asks for no more. */
  get isRemoteDone(): boolean {
    return this.#isRemoteDone
  }

  /** Tells the peer that this machine has got all that it asked for over this connection, and asks for no more. */
  tellDone(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#messages[1]?.send(Buffer.alloc(0))
  }
}

/** The message that tells a port. */
export function encodePort(port: number): Buffer {
  const message = Buffer.alloc(2)
  message.writeUInt16LE(port)
  return message
}

/** @returns undefined for another message, which is ignored: it may come from a later version */
export function decodePort(message: Buffer): number | undefined {
  if (message.length < 2 || message.length > MOST_BYTES) return undefined
  return message.readUInt16LE(0) || undefined
}
