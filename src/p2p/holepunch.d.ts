/** The parts of the untyped Holepunch modules that this project uses, as read from their sources. */

declare module 'hypercore' {
  import type { EventEmitter } from 'node:events'

  export interface CoreManifest {
    readonly version: number
  }
  export interface GetOptions {
    wait?: boolean
    timeout?: number
    /** Gets what `clearRequests` calls off. */
    activeRequests?: unknown[]
  }
  export interface HotswapBlock {
    /** Requests that wait for an answer; when each was sent, of `Date.now`, and to whom. */
    readonly inflight: readonly { readonly timestamp: number; readonly peer: CorePeer }[]
  }
  /** On whose behalf a peer is to tell which blocks it has. */
  export interface WantHandle {
    addWant(want: object): void
    removeWant(want: object): void
  }
  export interface CorePeer {
    remotePublicKey: Buffer
    /** Length of the log, as the peer has it. */
    readonly remoteLength: number
    /** Whether the peer has said that it has a block. */
    _remoteHasBlock(index: number): boolean
    readonly stream: import('hyperswarm').SwarmConnection
    /** Requests of ours that it has not answered. */
    readonly inflight: number
    /** It has all blocks before this one, as it has said. */
    readonly _remoteContiguousLength: number
    /** Asks to be told which blocks the peer has from now on, of the range with this one. */
    _maybeWant(index: number, handle: WantHandle): void
    /** False for one that has sent what is wrong, or whose channel is closed. */
    isActive(): boolean
    /** It has all blocks before this one, and those of the bitfield. */
    readonly remoteContiguousLength: number
    readonly remoteBitfield: { get(index: number): boolean }
  }
  /** Reads of the store that are sent off together, once. */
  export interface StoreReads {
    get(key: Buffer): Promise<Buffer | null>
    tryFlush(): void
    /** Instead of sending them off. */
    destroy(): void
  }
  /** A log's part of the store. */
  export interface CoreStorage {
    /** Where in the store the log is. */
    readonly core: unknown
    readonly db: { read(options: { autoDestroy: boolean }): StoreReads }
    read(fork?: number): {
      read: StoreReads
      /** As it is stored: encrypted where the log is. */
      getBlock(index: number): Promise<Buffer | null>
      getTreeNode(index: number): Promise<{ readonly hash: Buffer; readonly size: number } | null>
      tryFlush(): void
    }
  }
  /** A session of one append-only log. Blocks handed out are decrypted copies. */
  export default class Hypercore extends EventEmitter {
    readonly key: Buffer
    readonly discoveryKey: Buffer
    readonly manifest: CoreManifest | null
    readonly length: number
    readonly byteLength: number
    /** How often the log was cut and written anew. */
    readonly fork: number
    readonly contiguousLength: number
    readonly writable: boolean
    readonly peers: readonly CorePeer[]
    readonly closing: Promise<void> | null
    readonly core: {
      /** Closes a log without sessions. */
      close(): Promise<void>
      readonly bitfield: { get(index: number): boolean }
      readonly state: {
        readonly storage: CoreStorage
        /** Stores what was prepared; what it is told of by peers, and what they are told, follows. */
        flush(): Promise<boolean>
      }
      readonly replicator: {
        setInflightRange(low: number, high: number): void
        /** Calls off the requests that `get` has put into its `activeRequests`, which then reject. */
        clearRequests(activeRequests: unknown[]): void
        /** Blocks that one peer was asked for and others may be. */
        readonly hotswaps: { pick(peer: CorePeer): Iterable<HotswapBlock> }
        /** Asks a peer for what it can be asked for. */
        updatePeer(peer: CorePeer): void
      }
    }
    ready(): Promise<void>
    close(): Promise<void>
    /** @param options.force also of a log that this machine writes */
    update(options?: { wait?: boolean; force?: boolean }): Promise<boolean>
    session(options?: object): Hypercore
    /** Bytes that the encryption keeps before a block. */
    readonly padding: number
    has(start: number, end?: number): Promise<boolean>
    get(index: number, options?: GetOptions): Promise<Buffer | null>
    append(blocks: readonly Uint8Array[]): Promise<{ length: number; byteLength: number }>
    clear(start: number, end: number): Promise<unknown>
    truncate(length: number): Promise<void>
    compact(): Promise<void>
    treeHash(length?: number): Promise<Buffer>
    download(range: { start: number; end: number }): { done(): Promise<void>; destroy(): void }
    findingPeers(): () => void
    static key(manifest: CoreManifest): Buffer
  }
}

declare module 'protomux' {
  import type { Duplex } from 'node:stream'

  export interface Channel {
    readonly protocol: string
    readonly userData: unknown
    readonly messages: { send(message: Buffer): boolean }[]
    open(): void
    close(): void
  }
  export default class Protomux {
    constructor(stream: Duplex)
    static from(stream: Duplex): Protomux
    destroy(error?: Error): void
    /** Handles what could not be decoded. */
    protected _safeDestroy(error: Error): void
    /** Handles the same on a channel that is closed. */
    protected _warn(error: Error): void
    /** Has `notify` make the channel that a peer asks for, of one id or of any. */
    pair(
      channels: { readonly protocol: string; readonly id?: Buffer | null },
      notify: (id: Buffer) => unknown
    ): void
    unpair(channels: { readonly protocol: string; readonly id?: Buffer | null }): void
    /** Null where the stream is destroyed, or has such a channel. */
    createChannel(options: {
      protocol: string
      id?: Buffer
      messages: readonly { onmessage: (message: Buffer) => void }[]
      /** Both sides have opened it. */
      onopen?: () => void
      /** Either has closed it, or the other one has rejected it. */
      onclose?: () => void
    }): Channel | null
    [Symbol.iterator](): Iterator<Channel>
  }
}

declare module 'corestore' {
  import type Hypercore from 'hypercore'
  import type HypercoreStorage from 'hypercore-storage'
  import type { Duplex } from 'node:stream'

  export interface CoreOptions {
    key?: Buffer
    name?: string
    encryptionKey?: Buffer | null
    inflightRange?: [number, number]
  }
  export default class Corestore {
    /** @param options.primaryKey for a store that has none yet; `unsafe` says that this is meant */
    constructor(
      storage: HypercoreStorage,
      options?: { primaryKey?: Buffer | undefined; unsafe?: boolean }
    )
    /** What key pairs are derived from. */
    readonly primaryKey: Buffer
    readonly storage: HypercoreStorage & { deleteCore(pointer: unknown): Promise<void> }
    /** The logs that are open, by discovery key in hex. */
    readonly cores: { readonly map: Map<string, unknown> }
    ready(): Promise<void>
    close(): Promise<void>
    get(options: CoreOptions): Hypercore
    namespace(name: string): Corestore
    replicate(stream: Duplex): Duplex
  }
}

declare module 'hyperbee' {
  import type Hypercore from 'hypercore'
  import type { EntryValue } from 'hyperdrive'

  export default class Hyperbee {
    constructor(core: Hypercore, options?: object)
    ready(): Promise<void>
    close(): Promise<void>
    getHeader(options?: { timeout?: number; wait?: boolean }): Promise<{ protocol?: string } | null>
    get(key: Buffer): Promise<{ key: Buffer; value: Buffer } | null>
    put(key: Buffer, value: Buffer): Promise<void>
    del(key: Buffer): Promise<void>
    createReadStream(): AsyncIterable<{ key: Buffer; value: Buffer }>
    batch(): {
      /** With `true`, appends the header of an empty log. */
      getRoot(ensureHeader: boolean): Promise<unknown>
      close(): Promise<void>
    }
    sub(name: string): {
      get(key: string): Promise<{ value: EntryValue } | null>
    }
  }
}

declare module 'hyperbee/lib/messages.js' {
  export interface IndexLevel {
    readonly keys: readonly number[]
    /** For each child: the number of its block, and its place in that block's index. */
    readonly children: readonly number[]
  }
  export const YoloIndex: { encode(index: { levels: readonly IndexLevel[] }): Buffer }
  interface BeeBlock {
    readonly key: Buffer
    readonly value: Buffer
    readonly index: Buffer
  }
  export const Node: {
    encodingLength(block: BeeBlock): number
    encode(block: BeeBlock, target: Buffer, offset: number): Buffer
  }
}

declare module 'hyperdrive' {
  import type Hyperbee from 'hyperbee'
  import type Hypercore from 'hypercore'
  import type { CoreManifest } from 'hypercore'
  import type Corestore from 'corestore'

  export interface BlobId {
    byteOffset: number
    blockOffset: number
    blockLength: number
    byteLength: number
  }
  export interface EntryValue {
    executable?: boolean
    linkname?: string | null
    blob?: BlobId | null
    metadata?: object | null
  }
  export default class Hyperdrive {
    constructor(store: Corestore, options: { encryptionKey?: Buffer | null })
    constructor(store: Corestore, key: Buffer, options: { encryptionKey?: Buffer | null })
    readonly key: Buffer
    readonly core: Hypercore
    readonly db: Hyperbee
    readonly version: number
    readonly discoveryKey: Buffer
    ready(): Promise<void>
    close(): Promise<void>
    getBlobs(): Promise<{ readonly core: Hypercore }>
    batch(): Hyperdrive
    flush(): Promise<void>
    put(name: string, content: Buffer): Promise<void>
    putEntry(name: string, entry: EntryValue): Promise<void>
    del(name: string): Promise<void>
    entry(
      name: string,
      options?: { wait?: boolean; timeout?: number }
    ): Promise<{ key: string; value: EntryValue } | null>
    list(folder?: string): AsyncIterable<{ key: string; value: EntryValue }>
    static getContentKey(manifest: CoreManifest, key: Buffer): Buffer | null
  }
}

declare module 'hyperdht' {
  import type { EventEmitter } from 'node:events'

  export interface DHTOptions {
    bootstrap?: readonly (string | { host: string; port: number })[]
    host?: string
    port?: number
    firewalled?: boolean
    ephemeral?: boolean
  }
  export interface KeyPair {
    publicKey: Buffer
    secretKey: Buffer
  }
  export default class DHT extends EventEmitter {
    constructor(options?: DHTOptions)
    readonly destroyed: boolean
    /** Whether others reach this node only where it has sent something before. */
    readonly firewalled: boolean
    /** Whether others see it at different ports. */
    readonly randomized: boolean
    /** Where others see it: null before they have told. */
    readonly host: string | null
    /** 0 where others see different ones. */
    readonly port: number
    /** A stream on UDX that is not connected. */
    createRawStream(options: object): import('blind-relay').RelayStream
    createServer(
      options: { shareLocalAddress?: boolean },
      onconnection: (connection: import('hyperswarm').SwarmConnection) => void
    ): { listen(keyPair: KeyPair): Promise<unknown> }
    /** Other nodes that have answered and are still thought to be there. */
    readonly nodes: { readonly length: number }
    /** Resolves when it has its UDP ports, before any node was asked. */
    bind(): Promise<void>
    /** Address of the socket that others ask; null before that. */
    localAddress(): { host: string; port: number } | null
    fullyBootstrapped(): Promise<void>
    lookup(
      topic: Buffer
    ): AsyncIterable<{ readonly peers: readonly { readonly publicKey: Buffer }[] }>
    connect: (
      publicKey: Buffer,
      options?: { keyPair?: KeyPair }
    ) => import('hyperswarm').SwarmConnection
    address(): { host: string; port: number }
    destroy(options?: { force?: boolean }): Promise<void>
    static bootstrapper(port: number, host: string, options?: DHTOptions): DHT
    static keyPair(seed?: Buffer): KeyPair
  }
}

declare module 'hyperswarm' {
  import type { EventEmitter } from 'node:events'
  import type { Duplex } from 'node:stream'
  import type DHT from 'hyperdht'
  import type { KeyPair } from 'hyperdht'

  export interface PeerDiscovery {
    flushed(): Promise<void>
    refresh(options?: { client?: boolean; server?: boolean }): Promise<void>
    destroy(): Promise<void>
  }
  export interface SwarmConnection extends Duplex {
    readonly isInitiator: boolean
    readonly publicKey: Buffer
    readonly remotePublicKey: Buffer
    readonly rawBytesRead: number
    readonly rawBytesWritten: number
    readonly destroying: boolean
    readonly rawStream: {
      readonly remoteHost?: string | null
      /** The same of TCP. */
      readonly remoteAddress?: string | null
      readonly remotePort?: number
      /** On UDX: packets that came, also those that only acknowledge. */
      readonly packetsReceived?: number
    }
    /** The multiplexer, once there is one. */
    readonly userData: unknown
    setTimeout(ms: number): void
    sendKeepAlive(): void
  }
  /** What the swarm knows of a peer. */
  export interface PeerInfo {
    readonly publicKey: Buffer
    readonly topics: readonly Buffer[]
    /** Whether to connect to it again by itself when a connection has ended. */
    reconnect(again: boolean): void
    /** Whether never to connect with it. */
    ban(isBanned: boolean): void
  }
  export default class Hyperswarm extends EventEmitter {
    constructor(options: {
      dht: DHT
      keyPair?: KeyPair
      /** True refuses a peer, in either direction, and bans it. */
      firewall?: (remotePublicKey: Buffer) => boolean
      /** The relay to use for a connection, where holes could not be punched (`force`), or null for none. */
      relayThrough?: (force: boolean, swarm: Hyperswarm) => Buffer | null
    })
    readonly keyPair: KeyPair
    readonly connections: Set<SwarmConnection>
    readonly connecting: number
    readonly peers: Map<string, PeerInfo>
    readonly dht: DHT
    join(topic: Buffer, options?: { client?: boolean; server?: boolean }): PeerDiscovery
    leave(topic: Buffer): Promise<void>
    /** Connects to a peer, and again whenever that connection ends. */
    joinPeer(publicKey: Buffer): void
    leavePeer(publicKey: Buffer): void
    flush(): Promise<boolean>
    destroy(options?: { force?: boolean }): Promise<void>
  }
}

declare module 'blind-relay' {
  import type { EventEmitter } from 'node:events'
  import type { SwarmConnection } from 'hyperswarm'

  /** One end of a pair, on UDX; the other end gets what comes here. */
  export interface RelayStream extends EventEmitter {
    readonly bytesReceived: number
    destroy(): void
  }
  export class Server {
    constructor(options: { createStream: (options: object) => RelayStream })
    accept(connection: SwarmConnection, options: { id: Buffer }): EventEmitter
  }
}

declare module 'hyperdht/testnet.js' {
  import type DHT from 'hyperdht'

  export interface Testnet {
    readonly bootstrap: { host: string; port: number }[]
    readonly nodes: DHT[]
    destroy(): Promise<void>
  }
  export default function createTestnet(size?: number, options?: object): Promise<Testnet>
}

declare module 'z32' {
  const z32: { encode(bytes: Uint8Array): string; decode(text: string): Buffer }
  export default z32
}

declare module 'hypercore-crypto' {
  /** BLAKE2b of 32 bytes. */
  export function hash(data: Uint8Array): Buffer
  /** What a block's leaf in the tree of a log is. */
  export function data(block: Uint8Array): Buffer
  /** The hash of the node above two others. */
  export function parent(
    left: import('hypercore-storage').TreeNode,
    right: import('hypercore-storage').TreeNode
  ): Buffer
  /** What is signed of a log: all its roots. */
  export function tree(roots: readonly import('hypercore-storage').TreeNode[]): Buffer
  /** The topic under which a log is announced; tells nothing of its key. */
  export function discoveryKey(key: Buffer): Buffer
}

declare module '@hyperswarm/secret-stream' {
  import type { Duplex } from 'node:stream'
  import type { KeyPair } from 'hyperdht'

  export default class NoiseSecretStream extends Duplex {
    constructor(
      isInitiator: boolean,
      rawStream: Duplex,
      options?: { keyPair?: KeyPair; pattern?: 'IK' | 'XX'; remotePublicKey?: Buffer }
    )
    readonly isInitiator: boolean
    readonly publicKey: Buffer
    readonly remotePublicKey: Buffer
    readonly rawBytesRead: number
    readonly rawBytesWritten: number
    readonly destroying: boolean
    readonly rawStream: {
      readonly remoteHost?: string | null
      /** The same of TCP. */
      readonly remoteAddress?: string | null
      readonly remotePort?: number
      /** On UDX: packets that came, also those that only acknowledge. */
      readonly packetsReceived?: number
    }
    readonly userData: unknown
    /** Gets what arrives, in pieces of any size. */
    _onrawdata(data: Buffer): void
    sendKeepAlive(): void
    /** Whether the handshake ended well; stays pending where the stream is destroyed before. */
    readonly opened: Promise<boolean>
    setKeepAlive(ms: number): void
    setTimeout(ms: number): void
  }
}
