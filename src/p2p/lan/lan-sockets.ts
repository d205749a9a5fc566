import mdns, { type MdnsPacket, type MdnsSocket, type Sender } from 'multicast-dns'
import { lanInterfaces, type LanInterface } from './lan-interfaces.ts'

/** Networks come and go: cables, radio, sleep. */
const LOOK_MS = 5_000
/** What could not be opened is tried again after this time. */
const RETRY_MS = 60_000

export interface LanSocketsOptions {
  /** A packet has come from a host of the same network as one of this machine's addresses. */
  readonly onPacket: (packet: MdnsPacket, from: Sender, at: string) => void
  /** Multicast does not work at an address; told once for each reason. */
  readonly onTrouble: (address: string, error: Error) => void
}

/**
 * Multicast DNS on each network that this machine is in: a socket for each IPv4 address. multicast-dns by itself sends by one
 * of them only. Nothing that goes wrong here is an error: peers are then found in other ways.
 */
export class LanSockets implements Disposable {
  readonly #options: LanSocketsOptions
  readonly #open = new Map<
    string,
    { readonly socket: MdnsSocket; readonly network: LanInterface }
  >()
  readonly #failedMs = new Map<string, number>()
  readonly #told = new Set<string>()
  readonly #timer: NodeJS.Timeout

  constructor(options: LanSocketsOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref()
    this.#look()
  }

  /** Sends a packet to each network, or to that of one address of this machine. */
  send(packet: MdnsPacket, at?: string): void {
    for (const [address, { socket }] of this.#open) {
      if (at === undefined || at === address)
        socket.send(packet, (error) => error && this.#tell(address, error))
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    for (const address of this.#open.keys()) this.#close(address)
  }

  #look(): void {
    const now = lanInterfaces()
    for (const address of this.#open.keys()) {
      if (!now.some((each) => each.address === address)) this.#close(address)
    }
    for (const network of now) {
      const failedMs = this.#failedMs.get(network.address) ?? -Infinity
      if (this.#open.has(network.address) || performance.now() - failedMs < RETRY_MS) continue
      try {
        this.#begin(network)
      } catch (error) {
        this.#fail(network.address, error as Error)
      }
    }
  }

  #begin(network: LanInterface): void {
    const { address } = network
    // Bound to the one address, it would get no multicast. Others, such as avahi, have the port, too.
    const socket = mdns({ interface: address, bind: '0.0.0.0', reuseAddr: true })
    this.#open.set(address, { socket, network })
    socket.on('error', (error) => this.#fail(address, error))
    // It concerns one packet, or a membership that the network does not allow.
    socket.on('warning', (error) => this.#tell(address, error))
    // Each socket gets what comes on all networks.
    socket.on('packet', (packet, from) => {
      if (network.includes(from.address)) this.#options.onPacket(packet, from, address)
    })
  }

  #fail(address: string, error: Error): void {
    this.#failedMs.set(address, performance.now())
    this.#close(address)
    this.#tell(address, error)
  }

  #close(address: string): void {
    const opened = this.#open.get(address)
    this.#open.delete(address)
    opened?.socket.destroy()
  }

  #tell(address: string, error: Error): void {
    const { code } = error as NodeJS.ErrnoException
    // Packets of others that cannot be decoded are their business.
    if (code === undefined || this.#told.has(`${address} ${code}`)) return
    this.#told.add(`${address} ${code}`)
    this.#options.onTrouble(address, error)
  }
}
