/** The part of multicast-dns that is used here, as read from its source. */
declare module 'multicast-dns' {
  import type { EventEmitter } from 'node:events'

  export type MdnsRecord = { readonly name: string; readonly ttl?: number } & (
    | { readonly type: 'PTR'; readonly data: string }
    | { readonly type: 'A'; readonly data: string }
    | { readonly type: 'SRV'; readonly data: { readonly port: number; readonly target: string } }
    | {
        readonly type: 'TXT'
        readonly data: string | Uint8Array | readonly (string | Uint8Array)[]
      }
  )
  export interface MdnsPacket {
    readonly type: 'query' | 'response'
    readonly questions?: readonly { readonly name: string; readonly type: string }[]
    readonly answers?: readonly MdnsRecord[]
    readonly additionals?: readonly MdnsRecord[]
  }
  export interface Sender {
    readonly address: string
    readonly port: number
  }
  export interface MdnsSocket extends EventEmitter {
    on(event: 'error' | 'warning', listener: (error: Error) => void): this
    on(event: 'packet', listener: (packet: MdnsPacket, from: Sender) => void): this
    send(packet: MdnsPacket, sent: (error?: Error | null) => void): void
    destroy(): void
  }
  /** Sends to 224.0.0.251:5353 from the interface with an address, and gets what comes there. */
  export default function mdns(options: {
    /** IPv4 address of the interface. */
    interface: string
    bind: string
    reuseAddr: boolean
  }): MdnsSocket
}
