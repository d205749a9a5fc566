/**
 * The one place where this project replaces methods of the libraries below it. Each has no option or event for what is
 * needed, so a method of theirs is exchanged for one of ours. {@link SEAMS} lists all of them; `replaceMethod` refuses a
 * library that does not have the method as it was read. Other parts of the libraries that are not documented are called or
 * read, and not replaced: `hypercore-internals.d.ts` and `holepunch.d.ts` have their types.
 *
 * When a version in package.json changes: read each method of that library again, then set `REVIEWED`.
 * `test/p2p/library-seams.test.ts` fails until then.
 */

/** The versions whose sources these seams were last compared with. */
export const REVIEWED = {
  hypercore: '11.37.1',
  'hypercore-storage': '3.3.1',
  '@hyperswarm/secret-stream': '6.9.2',
  hyperdht: '6.32.0',
  protomux: '3.12.1',
  'framed-stream': '1.0.1'
} as const

interface Seam {
  readonly library: keyof typeof REVIEWED
  /** Module of the library with the class. */
  readonly module: string
  /** How many parameters the library's own method has, as its `length`. */
  readonly parameters: number
  /** What ours does instead, and why. */
  readonly why: string
  /** What of the library ours relies on. */
  readonly relies: string
}

/** Replaced methods, as `Class.method`. */
export const SEAMS = {
  'MerkleTree.missingNodes': {
    library: 'hypercore',
    module: 'lib/merkle-tree.js',
    parameters: 3,
    why: 'store/merkle-path-lookup: looks up the nodes above a block in one trip to the store instead of six or seven',
    relies:
      'the same result; `session.storage.read()` has `hasTreeNode` and sends reads off with `tryFlush`'
  },
  'Core.verify': {
    library: 'hypercore',
    module: 'lib/core.js',
    parameters: 2,
    why: 'store/unsound-store: hands a verified block on where it cannot be stored, and blames no peer for nodes that were lost here',
    relies:
      'each proof that arrives is given to it; a write that fails throws "Batch was not applied", a missing node `INVALID_OPERATION`; `MerkleTree.verify` checks a proof without storing it'
  },
  'Core._onconflict': {
    library: 'hypercore',
    module: 'lib/core.js',
    parameters: 1,
    why: 'store/forks: keeps a log with two signed histories open, where hypercore closes it under its readers',
    relies:
      'it is called with the proof after `header.frozen` was set; `monitors` are the sessions that listen; `onrequest` of a peer sends it a proof'
  },
  'Peer.getMaxInflight': {
    library: 'hypercore',
    module: 'lib/replicator.js',
    parameters: 0,
    why: 'peers/request-limits: bounds what one connection is asked for at once; crowd/request-gate: what one peer is, among several readers',
    relies:
      'it is asked each time before requests are sent; `stream` is the connection; 0 asks for nothing'
  },
  'Peer.getMaxHotswapInflight': {
    library: 'hypercore',
    module: 'lib/replicator.js',
    parameters: 0,
    why: 'peers/request-limits: the same for blocks that another peer was asked for',
    relies: 'it is asked before `hotswaps.pick`'
  },
  'Peer._requestBlock': {
    library: 'hypercore',
    module: 'lib/replicator.js',
    parameters: 1,
    why: 'crowd/request-gate: decides which of the peers that have a block is asked for it',
    relies:
      'each single block is requested by it; false leaves the block in the queue; `inflight` of the block are the requests that wait'
  },
  'Peer._requestRangeBlock': {
    library: 'hypercore',
    module: 'lib/replicator.js',
    parameters: 2,
    why: 'crowd/request-gate: the same for blocks of a range',
    relies: 'each block of a range is requested by it; false has another one tried'
  },
  'Peer.onrequest': {
    library: 'hypercore',
    module: 'lib/replicator.js',
    parameters: 1,
    why: 'crowd/request-gate: hears which blocks peers request here, to tell the others',
    relies: 'it is called for each request, before anything is read from the store'
  },
  'Peer._fulfillRequest': {
    library: 'hypercore',
    module: 'lib/replicator.js',
    parameters: 2,
    why: 'store/unsound-store: tells a peer that a damaged block is not to be had here, where hypercore ends the connection',
    relies:
      'the request has `msg.id` and `msg.block.index`; `remoteRequests` has it until it is answered; `wireNoData` refuses it'
  },
  'HotswapQueue.pick': {
    library: 'hypercore',
    module: 'lib/hotswap-queue.js',
    parameters: 1,
    why: 'transfer/hedging: asks a second peer only for blocks that are late, where hypercore asks for each at once',
    relies:
      'it yields blocks that other peers were asked for; their `inflight` says when (`timestamp`, of Date.now) and whom (`peer`); `updatePeer` calls it'
  },
  'SessionState.flush': {
    library: 'hypercore',
    module: 'lib/session-state.js',
    parameters: 0,
    why: 'store/durable-log: tells peers of new blocks only when those are on the disk',
    relies: 'an append waits for it before peers are told of the new length'
  },
  'CoreStorage.read': {
    library: 'hypercore-storage',
    module: 'index.js',
    parameters: 0,
    why: 'store/read-batching: has the reads of one turn of the event loop go to the store together',
    relies:
      'its result has a batch of its own as `read`, with `get`, `tryFlush` and `destroy`; `db.read` makes another'
  },
  'CoreRX.getTreeNode': {
    library: 'hypercore-storage',
    module: 'lib/tx.js',
    parameters: 1,
    why: 'store/unsound-store: takes a damaged node for one that is not there, so that peers are asked for it',
    relies: 'null says that there is none; what RocksDB finds damaged rejects'
  },
  'CoreRX.getBitfieldPage': {
    library: 'hypercore-storage',
    module: 'lib/tx.js',
    parameters: 1,
    why: 'store/unsound-store: takes a damaged page for one without blocks',
    relies: 'as CoreRX.getTreeNode'
  },
  'CoreRX.getHints': {
    library: 'hypercore-storage',
    module: 'lib/tx.js',
    parameters: 0,
    why: 'store/unsound-store: does without damaged hints',
    relies: 'as CoreRX.getTreeNode'
  },
  'NoiseSecretStream._onrawdata': {
    library: '@hyperswarm/secret-stream',
    module: 'index.js',
    parameters: 1,
    why: 'peers/frame-limit: ends a connection before it makes room for a frame that is too long',
    relies:
      'every byte that arrives is given to it, from the first on; a frame is 3 bytes of length, little-endian, and so many bytes'
  },
  'HyperDHT.connect': {
    library: 'hyperdht',
    module: 'index.js',
    parameters: 2,
    why: 'peers/dial-failures: hears why a peer could not be connected to, which hyperswarm keeps to itself',
    relies:
      'hyperswarm connects by it; the connection emits `error` with one of the codes of lib/errors.js'
  },
  'Protomux.pair': {
    library: 'protomux',
    module: 'index.js',
    parameters: 2,
    why: 'peers/strangers: bounds how many names of logs are looked for in the store at once',
    relies:
      'a store that replicates pairs `hypercore/alpha` without an id; `notify` is called for each name and may be answered later'
  },
  'Protomux._safeDestroy': {
    library: 'protomux',
    module: 'index.js',
    parameters: 1,
    why: 'rpc/rpc: a message that cannot be decoded ends its connection, and not the process',
    relies: 'whatever cannot be decoded on an open channel is given to it'
  },
  'Protomux._warn': {
    library: 'protomux',
    module: 'index.js',
    parameters: 1,
    why: 'rpc/rpc: the same on a closed channel',
    relies: 'whatever cannot be decoded on a closed channel is given to it'
  },
  'FramedStream._ondata': {
    library: 'framed-stream',
    module: 'index.js',
    parameters: 1,
    why: 'rpc/rpc: a frame that nobody has memory for ends its connection, and not the process',
    relies: 'everything that arrives is given to it; it throws where it cannot make room'
  }
} as const satisfies Record<string, Seam>

export type SeamName = keyof typeof SEAMS
type MethodOf<Name extends SeamName> = Name extends `${string}.${infer Method}` ? Method : never

/**
 * A method of a library, checked to be the one that was read.
 *
 * @param owner the class's prototype, or an object of it
 * @throws Error, with the seam's name, when the library has no such method, or one with other parameters
 */
export function requireMethod<Name extends SeamName, Owner extends object>(
  name: Name,
  owner: Owner
): Owner[MethodOf<Name> & keyof Owner] {
  const method = owner[methodOf(name) as MethodOf<Name> & keyof Owner]
  const { library, module, parameters } = SEAMS[name]
  if (typeof method === 'function' && method.length === parameters) return method
  const found = typeof method === 'function' ? `it has ${method.length}` : 'there is none'
  throw new Error(
    `${library}/${module} does not fit the seam ${name} of src/p2p/library-seams.ts, ` +
      `which was read in ${library} ${REVIEWED[library]}: a method with ${parameters} parameters is expected, ${found}`
  )
}

/**
 * Exchanges a method of a library for one of ours.
 *
 * @param owner the class's prototype, or the one object of it that is to be changed
 * @param make gets the library's own method, without `this`
 * @throws Error as {@link requireMethod}
 */
export function replaceMethod<Name extends SeamName, Owner extends object>(
  name: Name,
  owner: Owner,
  make: (usual: Owner[MethodOf<Name> & keyof Owner]) => Owner[MethodOf<Name> & keyof Owner]
): void {
  owner[methodOf(name) as MethodOf<Name> & keyof Owner] = make(requireMethod(name, owner))
}

function methodOf<Name extends SeamName>(name: Name): MethodOf<Name> {
  return name.slice(name.indexOf('.') + 1) as MethodOf<Name>
}
