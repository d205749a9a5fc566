import c, { type Encoding } from 'compact-encoding'
import type { ExchangeLayout } from '../image/chunk/block-sink.ts'
import type { Manifest } from '../image/format/manifest.ts'
import type { JsonFields } from '../core/json-fields.ts'
import type { ImageReference } from '../p2p/link.ts'
import { paddedBlocks } from './block-batch.ts'
import {
  badRequest,
  checkPinned,
  checkPublicKeys,
  checkRanges,
  MAX_BLOCK,
  MAX_IMAGE_TEXT,
  type RequestCheck
} from './request-checks.ts'
import { CHANNEL_METHODS } from './channel-protocol.ts'
import { json, withImage } from './method.ts'
import { checkStartNote, type StartNote } from './start-note.ts'
import type { ChangedSetting } from './daemon-settings.ts'
import type { FetchCounters } from '../p2p/transfer/fetch-counters.ts'
import type { NatStatus } from '../p2p/reach/nat-status.ts'
import type { DroppedPeer } from '../p2p/peers/peer-gate.ts'
import type { StoreTrouble } from '../p2p/store/store-health.ts'

/** Raised with every change that an older peer of the socket would not understand. */
export const PROTOCOL = 'dat-container/daemon/6'

export type ImageRole = 'owner' | 'reader' | 'mirror'

export interface DaemonStatus {
  readonly pid: number
  readonly home: string
  readonly version: string
  readonly startedAt: string
  readonly bootstrap: readonly string[] | null
  /** What peers know this home by, z32. */
  readonly publicKey: string
  /** Public keys of the only peers that may connect, z32; null for everybody. */
  readonly allowed: readonly string[] | null
  /** How other nodes of the DHT reach this machine. */
  readonly nat: NatStatus
  /** Whether any node of the DHT answers. */
  readonly online: boolean
  /** Where peers reach it by TCP, and what links say of that: `host:port`. */
  readonly listen: string | null
  readonly advertise: string | null
  /** Peers, and those of them that are connected by TCP. */
  readonly connections: number
  readonly direct: number
  readonly bytesRead: number
  readonly bytesWritten: number
  /** The part of `bytesRead` that came by TCP. */
  readonly directBytesRead: number
  readonly images: number
  /** Where metrics are served; null for nowhere. */
  readonly metrics: string | null
  /** Where its page is served, without the token that opens it; null for nowhere. */
  readonly ui: string | null
  /** Where members of the daemon's group may use it; null for nowhere. */
  readonly groupSocket: string | null
  /** Bytes of disk that the store takes, and that it may take; null for no limit. */
  readonly disk: { readonly usedBytes: number; readonly maxBytes: number | null }
  /** Bytes a second that it sends and fetches at most; null for no limit. */
  readonly maxUp: number | null
  readonly maxDown: number | null
  /** Peers that were dropped for what they did, since the daemon started; `publicKey` is z32. */
  readonly dropped: readonly DroppedPeer[]
  /** What went wrong with the store since the daemon started. */
  readonly store: StoreTrouble
}

export interface OpenRequest {
  readonly image: ImageReference
  readonly peerTimeoutMs: number
  readonly offline: boolean
}

export interface OpenResponse {
  /** Names the image in later requests on this connection. */
  readonly handle: number
  /** With version and secret. */
  readonly link: ImageReference
  readonly key: string
  readonly manifest: Manifest
  /** The newest version was asked for, and nobody was there who could tell of a newer one. */
  readonly mayBeOld: boolean
  /** Two histories of it are signed; as what this machine has one of them. */
  readonly forked: 'owner' | 'reader' | null
  /** Stored bytes of it that the daemon had fetched before it was asked. */
  readonly fetchedBefore: number
  readonly timing: OpenTiming
}

/** How opening went in the daemon; times of `monotonicMs`. */
export interface OpenTiming {
  readonly askedMs: number
  /** When a peer that has the image was found and connected; null where none was needed. */
  readonly foundMs: number | null
  readonly connectedMs: number | null
  /** When the manifest was there. */
  readonly answeredMs: number
  /** Processor time of the daemon when it was asked. */
  readonly daemonCpuMs: number
}

export interface BlockRequest {
  readonly handle: number
  readonly block: number
  /** Undefined waits for ever. */
  readonly timeoutMs?: number
  /** Nobody waits for it yet. */
  readonly ahead?: boolean
  /** When its reader first asked, by `monotonicMs`: the time-out then is one for all that wait. */
  readonly sinceMs?: number
  /** Is compared with the log's tree also where it is here already. */
  readonly checked?: boolean
}

export interface FillRequest {
  readonly handle: number
  readonly ranges: readonly (readonly [number, number])[]
  /** Answer only when the fill has ended. */
  readonly wait: boolean
}

export interface StatsResponse extends FetchCounters {
  readonly peers: number
  /** Peers of the daemon that are left alone for a while, because they sent wrong blocks or none. */
  readonly droppedPeers: number
  /** Bytes read from all peers of the daemon since the image was opened, protocol included. */
  readonly linkBytes: number
  /** Processor time of the daemon since it began. */
  readonly daemonCpuMs: number
}

export interface HoldingRequest {
  readonly handle: number
  /** How many blocks from block 0 to tell of. */
  readonly blocks: number
}

export interface PublishBeginRequest {
  /** Publish a new version of this image; undefined makes a new drive. */
  readonly update?: ImageReference
  /** What the image will be called; of an update, only where that changes. Nobody else takes it meanwhile. */
  readonly name?: string
  /** An image of this machine alone: nobody is told of it, and it goes with the connection. */
  readonly temporary?: boolean
}

export interface PublishBeginResponse {
  readonly key: string
  /** Where the client may leave blocks; null where it has to send them. */
  readonly exchange: ExchangeLayout | null
}

/** Blocks in a slot of the exchange. */
export interface SlotRequest {
  readonly slot: number
  /** Lengths of the blocks in bytes, without their padding. */
  readonly lengths: readonly number[]
}

export interface PublishCommitResponse {
  readonly link: string
  readonly mirrorLink: string
  readonly key: string
  /** Whether peers can find it by the DHT already. */
  readonly announced: boolean
}

export interface ImageListing {
  readonly key: string
  readonly name: string
  readonly role: ImageRole
  readonly version: number | null
  readonly link: string | null
  readonly mirrorLink: string
  /** Blocks of the content; for a mirror, also of the entries. */
  readonly blocksHeld: number
  readonly blocksKnown: number
  /** Known blocks that are held here or by a connected peer. */
  readonly blocksOffered: number
  /** Whether all that is to be kept of it is here: all blocks, where nothing else is said. */
  readonly complete: boolean
  /**
   * What is kept of it here from peers: `follows` the newest version, the version of that number, `held` for a mirror of what
   * there was, `share` for one with a quota, `own` for what this machine publishes; null for only what was read.
   */
  readonly kept: 'follows' | 'held' | 'share' | 'own' | number | null
  /** Whether it is never evicted. */
  readonly pinned: boolean
  /** Stored bytes that a mirror may hold of it; null for no limit. */
  readonly quota: number | null
  /** Public keys of blind peers that are asked to keep it, z32. */
  readonly blindPeers: readonly string[]
  readonly peers: number
  /** What each connected peer has of the content. */
  readonly copies: readonly PeerCopy[]
  /** Bytes of blocks sent to and received from peers since this machine knows it. */
  readonly uploadedBytes: number
  readonly downloadedBytes: number
  /** When a peer that has it was last connected; ISO 8601. */
  readonly lastSeen: string | null
  /** When it was last opened or read on this machine; ISO 8601. */
  readonly lastUsed: string | null
  /** Bytes of the log of content up to its known end, held here or not. */
  readonly storedBytes: number
  /** Bytes of the log of entries up to its known end, held here or not. */
  readonly entryBytes: number
  readonly createdAt: string
  /** Whether two histories of it are signed; the one that is here is kept and served. */
  readonly forked: boolean
  /** Whether other Hyperdrive tools can see the newest version's files, which takes a moment; always true unless this home owns the image. */
  readonly filesListed: boolean
}

export interface ImagesRequest {
  /** Gives peers that have just come a moment to tell what they have. */
  readonly settles: boolean
}

/** How much of an image's content one connected peer has. */
export interface PeerCopy {
  /** Its public key, in z-base-32. */
  readonly peer: string
  readonly blocksHeld: number
  readonly complete: boolean
}

export interface SeedRequest {
  /** With a version, that one is kept and no later one is fetched. */
  readonly image: ImageReference
  /** Somebody waits until it is here. */
  readonly isUrgent: boolean
  readonly peerTimeoutMs: number
}

export interface MirrorRequest {
  /** A link; its secret, if it has one, is not needed. */
  readonly link: ImageReference
  /** @default made from the key */
  readonly name?: string
  /** Keep what there is now, and do not follow. @default false */
  readonly hold?: boolean
  /** Keep a share of this many stored bytes. @default all */
  readonly quota?: number
  readonly peerTimeoutMs: number
}

export interface EntrustRequest {
  readonly image: ImageReference
  /** Public keys of the blind peers that are asked to keep it, hex; none ends that. */
  readonly blindPeers: readonly string[]
}

export interface GcRequest {
  readonly image: ImageReference
  /** How many versions to keep, the newest included. */
  readonly keep: number
  /** Versions of any image that are in use; `key` is z32. */
  readonly pinned: readonly { readonly key: string; readonly version: number }[]
  readonly dryRun: boolean
}

export interface EvictRequest {
  /** Evict until the store takes no more bytes of disk than this. @default the daemon's limit */
  readonly toBytes?: number
  readonly dryRun: boolean
}

/** What was evicted of an image, or would be. */
export interface EvictedImage {
  /** z32 drive key. */
  readonly key: string
  readonly name: string
  readonly blocks: number
  /** Stored bytes of those blocks. */
  readonly bytes: number
  /** Whether nothing of it is left here. */
  readonly whole: boolean
}

export interface EvictResponse {
  readonly images: readonly EvictedImage[]
  readonly bytes: number
  /** Bytes of disk that the store took before. */
  readonly usedBytes: number
  readonly maxBytes: number | null
}

/** What a clean-up of old versions freed. */
export interface FreedVersions {
  /** Versions that are whole afterwards, as far as they were before. */
  readonly kept: readonly number[]
  /** Versions of the manifest's list that lost what only they used. */
  readonly freed: readonly number[]
  readonly blocks: number
  /** Stored bytes of those blocks. */
  readonly bytes: number
}

export interface GcResponse extends FreedVersions {
  readonly key: string
  readonly name: string
}

/** Variables of the environment in which a daemon would be started now. */
export interface ReloadRequest {
  readonly environment: Readonly<Record<string, string>>
}

export interface ReloadResponse {
  /** What the daemon goes by from now on. */
  readonly changed: readonly ChangedSetting[]
  /** What it would go by after another start. */
  readonly needRestart: readonly ChangedSetting[]
}

/** More variables, or longer ones, than a daemon reads. */
const MAX_VARIABLES = 32
const MAX_VARIABLE_TEXT = 65_536

const withHandle: RequestCheck = (fields) => void fields.count('handle')

export const METHODS = {
  ...CHANNEL_METHODS,
  status: json<null, DaemonStatus>('status'),
  shutdown: json<null, null>('shutdown'),
  reload: json<ReloadRequest, ReloadResponse>('reload', (fields) => {
    const environment = fields.object('environment')
    for (const name of environment.names(MAX_VARIABLES)) environment.text(name, MAX_VARIABLE_TEXT)
  }),
  /** Where the daemon's page is, with the token that opens it. */
  page: json<null, { readonly url: string }>('page'),
  /** A container of the image is ready. */
  noteStart: json<StartNote, null>('start.note', checkStartNote),
  open: json<OpenRequest, OpenResponse>(
    'open',
    (fields) => {
      withImage(fields)
      fields.amount('peerTimeoutMs')
      fields.flag('offline')
    },
    { request: 'image', response: 'link' }
  ),
  close: json<{ handle: number }, null>('close', withHandle),
  fill: json<FillRequest, null>('fill', (fields) => {
    withHandle(fields)
    checkRanges(fields)
    fields.flag('wait')
  }),
  stats: json<{ handle: number }, StatsResponse>('stats', withHandle),
  freedVersions: json<{ handle: number }, number[]>('freed-versions', withHandle),
  /** Stored bytes of one block, decrypted. */
  block: {
    name: 'block',
    request: c.json as Encoding<BlockRequest>,
    response: c.raw,
    check: (fields: JsonFields) => {
      withHandle(fields)
      fields.count('block', MAX_BLOCK)
      if (fields.has('timeoutMs')) fields.amount('timeoutMs')
      if (fields.has('ahead')) fields.flag('ahead')
      if (fields.has('checked')) fields.flag('checked')
    }
  },
  /** One bit a block, lowest bit first: whether this machine has it. */
  holding: {
    name: 'holding',
    request: c.json as Encoding<HoldingRequest>,
    response: c.raw,
    check: (fields: JsonFields) => {
      withHandle(fields)
      fields.count('blocks', MAX_BLOCK)
    }
  },
  /** Looks for versions of this machine's own image that peers have and it has lost. */
  prepareUpdate: json<{ image: ImageReference }, null>('publish.prepare', withImage, {
    request: 'image'
  }),
  publishBegin: json<PublishBeginRequest, PublishBeginResponse>(
    'publish.begin',
    (fields) => {
      if (fields.has('update')) fields.text('update', MAX_IMAGE_TEXT)
      if (fields.has('name')) fields.text('name', MAX_IMAGE_TEXT)
      if (fields.has('temporary')) fields.flag('temporary')
    },
    { request: 'update' }
  ),
  /** Answers with the index of the first block appended. */
  publishAppend: {
    name: 'publish.append',
    request: paddedBlocks,
    response: c.uint
  },
  /** The same of blocks that lie in the exchange. */
  publishAppendSlot: json<SlotRequest, number>('publish.append-slot', (fields) => {
    if (!Array.isArray(fields.get('lengths'))) throw badRequest('publish.append-slot', 'no lengths')
  }),
  /** The packed index of what is published, before its blocks are appended. */
  publishIndex: {
    name: 'publish.index',
    request: c.raw,
    response: c.json as Encoding<null>
  },
  publishCommit: json<Manifest, PublishCommitResponse>('publish.commit', () => {}),
  images: json<ImagesRequest | null, ImageListing[]>('images'),
  mirror: json<MirrorRequest, ImageListing>(
    'mirror',
    (fields) => {
      fields.text('link', MAX_IMAGE_TEXT)
      if (fields.has('name')) fields.text('name', MAX_IMAGE_TEXT)
      if (fields.has('hold')) fields.flag('hold')
      if (fields.has('quota')) fields.count('quota')
      fields.amount('peerTimeoutMs')
    },
    { request: 'link' }
  ),
  seed: json<SeedRequest, ImageListing>(
    'seed',
    (fields) => {
      withImage(fields)
      fields.flag('isUrgent')
      fields.amount('peerTimeoutMs')
    },
    { request: 'image' }
  ),
  pin: json<{ image: ImageReference; pinned: boolean }, ImageListing>(
    'pin',
    (fields) => {
      withImage(fields)
      fields.flag('pinned')
    },
    { request: 'image' }
  ),
  entrust: json<EntrustRequest, ImageListing>(
    'entrust',
    (fields) => {
      withImage(fields)
      checkPublicKeys(fields)
    },
    { request: 'image' }
  ),
  gc: json<GcRequest, GcResponse>(
    'gc',
    (fields) => {
      withImage(fields)
      fields.count('keep')
      checkPinned(fields)
      fields.flag('dryRun')
    },
    { request: 'image' }
  ),
  evict: json<EvictRequest, EvictResponse>('evict', (fields) => {
    if (fields.has('toBytes')) fields.count('toBytes')
    fields.flag('dryRun')
  }),
  listenForGuests: json<null, { readonly port: number }>('listen-for-guests'),
  /** `force`: also one that this machine has published. */
  forget: json<{ image: ImageReference; force?: boolean }, ImageListing>(
    'forget',
    (fields) => {
      withImage(fields)
      if (fields.has('force')) fields.flag('force')
    },
    { request: 'image' }
  )
} as const
