import type { CorePeer } from 'hypercore'
import type { KnownPeer } from '../peers/known-peers.ts'
import { CrowdChannel, type CrowdEvents } from './crowd-channel.ts'
import type { Acquaintance } from './introductions.ts'

/** One connection of the image's content, and what is said over it. */
export class Member implements Acquaintance {
  readonly key: Buffer
  readonly connection: CorePeer['stream']
  readonly channel: CrowdChannel

  constructor(peer: CorePeer, topic: Buffer, events: CrowdEvents) {
    this.key = peer.remotePublicKey
    this.connection = peer.stream
    this.channel = new CrowdChannel(peer.stream, topic, events)
  }

  ask(): void {
    this.channel.ask()
  }

  tellPeers(peers: readonly KnownPeer[]): void {
    this.channel.tellPeers(peers)
  }
}
