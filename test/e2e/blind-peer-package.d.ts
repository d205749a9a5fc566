/** The parts of blind-peer that its test uses, as read from its source. */
declare module 'blind-peer' {
  import type Hyperswarm from 'hyperswarm'

  export default class BlindPeer {
    constructor(storage: string, options: { swarm: Hyperswarm; trustedPubKeys: readonly string[] })
    readonly publicKey: Buffer
    ready(): Promise<void>
    listen(): Promise<void>
    close(): Promise<void>
  }
}
