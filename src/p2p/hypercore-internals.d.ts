/**
 * The parts of hypercore and of its store that lie below what these modules promise. Their versions are pinned.
 * What of them is replaced is listed in `library-seams.ts`.
 */

declare module 'hypercore/lib/core.js' {
  import type { EventEmitter } from 'node:events'

  export interface BlockProof {
    readonly block: { readonly index: number } | null
    readonly upgrade: object | null
  }
  export interface ConflictProof {
    readonly fork: number
    readonly upgrade: { readonly length: number }
  }
  /** A log, below its sessions. */
  export interface ReplicatedCore {
    readonly header: { frozen: boolean }
    readonly discoveryKey: Buffer
    readonly state: {
      readonly fork: number
      readonly length: number
      /** Bytes of all blocks. */
      readonly byteLength: number
    }
    /** Sessions that listen to more than their own changes. */
    readonly monitors: readonly EventEmitter[]
    readonly replicator: {
      readonly peers: readonly {
        readonly remoteFork: number
        readonly remoteLength: number
        onrequest(request: {
          id: number
          fork: number
          block: null
          hash: null
          seek: null
          upgrade: { start: number; length: number }
        }): Promise<void>
      }[]
    }
  }
  const Core: {
    readonly prototype: {
      /** Checks what a peer has sent, and stores it; false where it does not fit what is known by now. */
      verify: (this: ReplicatedCore, proof: BlockProof, from: unknown) => Promise<boolean>
      /** Two histories of the log are signed. */
      _onconflict: (this: ReplicatedCore, proof: ConflictProof) => Promise<void>
    }
  }
  export default Core
}

declare module 'hypercore/lib/merkle-tree.js' {
  export interface TreeSession {
    readonly storage: {
      /** Reads that are sent off together by `tryFlush`. */
      read(): { hasTreeNode(index: number): Promise<boolean>; tryFlush(): void }
    }
  }
  export const MerkleTree: {
    missingNodes: (session: TreeSession, index: number, length: number) => Promise<number>
    /** @returns what is to be stored; throws where it does not prove to be of the log */
    verify(session: object, proof: object): Promise<{ commitable(): boolean }>
  }
}

declare module 'hypercore/lib/replicator.js' {
  import type { ReplicatedCore } from 'hypercore/lib/core.js'

  export interface FulfilledRequest {
    readonly msg: { readonly id: number; readonly block: { readonly index: number } | null }
  }
  /** A block that is to be requested. */
  export interface RequestedBlock {
    readonly index: number
    /** Requests that wait for an answer; when each was sent, of `Date.now`. */
    readonly inflight: readonly { readonly timestamp: number }[]
  }
  export interface RequestMessage {
    readonly id: number
    readonly block: { readonly index: number } | null
    /** More of the log's length is asked for. */
    readonly upgrade: object | null
  }
  /** A log's view of the peer at the other end of one connection. */
  export interface ReplicatingPeer {
    readonly stream: import('hyperswarm').SwarmConnection
    readonly core: ReplicatedCore
    readonly remotePublicKey: Buffer
    readonly replicator: {
      /** Blocks that are to be requested, or were. */
      readonly _blocks: { get(index: number): RequestedBlock | null }
    }
    /** Whether the peer has said that it has a block. */
    _remoteHasBlock(index: number): boolean
    /** Ranges of blocks that the peer was asked to tell of, by their number. */
    readonly wants: { readonly wants: Pick<ReadonlyMap<number, unknown>, 'has'> }
    /** Requests a block. @returns false where the peer does not have it, or cannot be asked now */
    _requestBlock: (this: ReplicatingPeer, request: RequestedBlock) => boolean
    /** The same for a block of a range. */
    _requestRangeBlock: (this: ReplicatingPeer, index: number, length: number) => boolean
    /** Takes a request of the peer. */
    onrequest: (this: ReplicatingPeer, message: RequestMessage) => Promise<void>
    /** Whether the peer has proven to know the log's key. */
    readonly remoteOpened: boolean
    /** Requests of the peer, by their number. */
    readonly remoteRequests: Map<number, unknown>
    readonly wireNoData: { send(message: { request: number; reason: number }): void }
    /** Sends what was asked for. */
    _fulfillRequest: (
      this: ReplicatingPeer,
      request: FulfilledRequest,
      pushing: boolean
    ) => Promise<void>
    /** Requests that have not been answered. */
    readonly inflight: number
    /** Answers that are being verified and stored. */
    readonly dataProcessing: number
    getMaxInflight(): number
    getMaxHotswapInflight(): number
  }
  const Replicator: { readonly Peer: { readonly prototype: ReplicatingPeer } }
  export default Replicator
}

declare module 'hypercore-storage' {
  export interface StorageOptions {
    allowBackup?: boolean
    wait?: boolean
    /** Bytes. @default 64 MiB */
    writeBufferSize?: number
    /** Bytes of a file with large values, about. @default 256 MiB */
    blobFileSize?: number
    /** Part of the files of large values, the oldest, that compaction in the background rewrites. @default 0.25 */
    blobGarbageCollectionAgeCutOff?: number
    /** Writes past the page cache, where the file system can; otherwise it does not open. @default false */
    useDirectIOForFlushAndCompaction?: boolean
    readOnly?: boolean
    /** Tables that are kept open. @default all, which are opened with the store */
    maxOpenFiles?: number
  }
  export interface TreeNode {
    readonly index: number
    readonly size: number
    readonly hash: Buffer
  }
  /** A log's part of a store; reads and writes are sent off together. */
  export interface LogStorage {
    read(): {
      getAuth(): Promise<{ manifest?: import('hypercore').CoreManifest | null } | null>
      getHead(): Promise<{ readonly length: number; readonly rootHash: Buffer } | null>
      getBlock(index: number): Promise<Buffer | null>
      getBitfieldPage(page: number): Promise<Buffer | null>
      getTreeNode(index: number): Promise<TreeNode | null>
      tryFlush(): void
    }
    write(): {
      putBlock(index: number, block: Buffer): void
      putTreeNode(node: TreeNode): void
      putBitfieldPage(page: number, bits: Buffer): void
      setHead(head: object): void
      flush(): Promise<boolean>
    }
    close(): Promise<void>
  }
  export default class HypercoreStorage {
    constructor(directory: string, options?: StorageOptions)
    ready(): Promise<void>
    close(): Promise<void>
    /** What the store derives key pairs from. */
    getSeed(): Promise<Buffer | null>
    setSeed(seed: Buffer): Promise<Buffer>
    resumeCore(discoveryKey: Buffer): Promise<LogStorage | null>
    createCore(log: object): Promise<LogStorage>
    /** Puts all keys in order, and drops those that are gone. */
    compact(options: {
      /** 0 as the store is set, 1 rewrites the oldest files of large values, 2 rewrites none. */
      blobGarbageCollectionPolicy?: number
      /** Part of the files of large values, the oldest, that is rewritten. */
      blobGarbageCollectionAgeCutoff?: number
      /** 2 includes the tables that are in order already. */
      bottommostLevelCompaction?: number
    }): Promise<void>
  }
}

declare module 'hypercore-storage/lib/tx.js' {
  type Read = (...args: unknown[]) => Promise<unknown>
  /** Reads of one log's part of the store. */
  export const CoreRX: {
    readonly prototype: { getTreeNode: Read; getBitfieldPage: Read; getHints: Read }
  }
}
