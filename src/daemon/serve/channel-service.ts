import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { peerDeadline } from '../../core/abort.ts'
import { ContainerError } from '../../core/errors.ts'
import { ChannelLog } from '../../p2p/channel/channel-log.ts'
import { encodeRecord } from '../../p2p/channel/channel-record.ts'
import { parseChannelLink } from '../../p2p/channel-link.ts'
import {
  formatKey,
  formatLink,
  KEY_BYTES,
  looksLikeChannelLink,
  parseLink,
  type FullLink,
  type ImageReference,
  type Link
} from '../../p2p/link.ts'
import type { PeerAddress } from '../../p2p/peer-address.ts'
import type { PeerNode } from '../../p2p/peers/peer-node.ts'
import type {
  ChannelFollowRequest,
  ChannelFollowResponse,
  ChannelForgetRequest,
  ChannelListing,
  ChannelResolveRequest,
  ChannelResolveResponse,
  ChannelSetRequest,
  ChannelWatchRequest,
  ChannelWatchResponse
} from '../../rpc/channel-protocol.ts'
import type { ChannelCatalog, ChannelEntry } from '../catalog/channel-catalog.ts'
import { listChannel, recordOf, type TakenRecord } from '../catalog/channel-listing.ts'
import type { FollowedImages } from '../keep/channel-follower.ts'
import { ChannelFollowing } from '../keep/channel-following.ts'
import { ChannelWatches } from '../keep/channel-watches.ts'
import { afterTaking, rollbackIn } from '../catalog/channel-rollback.ts'

/** How long peers are looked for that may know of a newer record, where one is known. */
const LOOK_MS = 3_000
/** How long an owner that may have lost records looks for peers that have them. */
const LOST_LOOK_MS = 10_000
/** How long listing channels waits for a record that is here. */
const LIST_MS = 200

export interface ChannelServiceOptions {
  readonly channels: ChannelCatalog
  readonly node: PeerNode
  readonly log: Logger
  readonly images: FollowedImages
  /** Whether peers may have records that this home has lost. */
  readonly mayLackRecords: boolean
  /** Address at which peers reach this machine without the DHT. */
  readonly advertise?: PeerAddress | undefined
  /** The link that an image is read by, with its peers. @throws ContainerError `BAD_LINK`, `NOT_FOUND`, `USAGE` */
  readonly linkOf: (image: ImageReference) => FullLink
  /** Newest version that this home knows of an image, by its key in hex. */
  readonly knownVersion: (key: string) => number | null
}

/** Operations on channels: creating, setting, resolving and forgetting them. */
export class ChannelService implements AsyncDisposable {
  readonly following: ChannelFollowing
  readonly #watches: ChannelWatches
  readonly #options: ChannelServiceOptions
  /** By key, hex. */
  readonly #logs = new Map<string, ChannelLog>()
  /** Channels of this home, by key, of which peers may have records that it has lost. */
  readonly #mayLack = new Set<string>()
  /** How many wait for a record of a channel. */
  readonly #asking = new Map<string, number>()
  /** Changes of one channel come one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor(options: ChannelServiceOptions) {
    this.#options = options
    const { channels, images, log } = options
    this.#watches = new ChannelWatches(async (key, signal) =>
      formatLink(await this.#named(key, signal))
    )
    this.following = new ChannelFollowing({
      channels,
      images,
      log,
      named: (key, signal) => this.#named(key, signal),
      change: (key, changed) => this.#change(key, changed)
    })
  }

  /** Opens all channels again after a start. */
  resume(): void {
    const { channels, mayLackRecords } = this.#options
    for (const entry of channels.list()) {
      this.#open(entry)
      this.following.resume(entry.key)
      if (mayLackRecords) this.#mayLack.add(entry.key)
    }
  }

  /** Makes a channel that this home sets. @throws ContainerError `NAME_IN_USE` */
  async create(name: string): Promise<ChannelListing> {
    const { channels, node } = this.#options
    if (channels.list().some((entry) => entry.name === name)) {
      throw new ContainerError('NAME_IN_USE', `this machine already has a channel ${name}`, {
        hint: `to have it name another image: dat-container channel set ${name} IMAGE`
      })
    }
    const namespace = `channel-${randomBytes(16).toString('hex')}`
    const key = await ChannelLog.create(node, namespace)
    const entry: ChannelEntry = {
      key: key.toString('hex'),
      secret: randomBytes(KEY_BYTES).toString('hex'),
      namespace,
      name,
      createdAt: new Date().toISOString(),
      seen: 0,
      images: []
    }
    await node.sync()
    await channels.put(entry)
    this.#open(entry)
    return this.#listing(entry, undefined)
  }

  /**
   * Has a channel of this home name another image.
   *
   * @throws ContainerError `NOT_FOUND` where it is not this home's, `ROLLED_BACK`, `FORKED`, `DISK_FULL`
   */
  async set(request: ChannelSetRequest, signal: AbortSignal): Promise<ChannelListing> {
    const { key } = this.#entry(request.channel)
    return this.#inTurn(key, () => this.#set(request, signal))
  }

  /**
   * Finds out what a channel names now, and notes that this home has seen it.
   *
   * @throws ContainerError `PEERS_UNREACHABLE`, `BAD_CHANNEL`, `WRONG_SECRET`, `UNSUPPORTED_VERSION`, `ROLLED_BACK`
   */
  async resolve(
    request: ChannelResolveRequest,
    signal: AbortSignal
  ): Promise<ChannelResolveResponse> {
    const entry = this.#meant(request.channel)
    const log = this.#open(entry)
    log.addPeers(entry.peers ?? [])
    const { offline, peerTimeoutMs } = request
    const isOwner = entry.namespace !== null
    const lookMs = offline || isOwner ? 0 : Math.min(LOOK_MS, peerTimeoutMs)
    const deadline = peerDeadline(signal, offline ? LIST_MS : peerTimeoutMs, 'this channel')
    this.#asking.set(entry.key, (this.#asking.get(entry.key) ?? 0) + 1)
    try {
      if (isOwner && entry.seen === 0) throw notSet(entry)
      const newest = await log.newest({ lookMs, signal: deadline.signal })
      const { number, bytes } = newest
      const taken = await this.#inTurn(entry.key, () =>
        this.#take(entry, { number, bytes }, request.acceptRollback)
      )
      const now = this.#options.channels.find(entry.key) ?? entry
      const mayBeOld = !isOwner && newest.mayBeOld
      return { ...this.#listing(now, taken), image: formatLink(taken.link), mayBeOld }
    } finally {
      deadline.clear()
      await this.#doneAsking(entry.key)
    }
  }

  /** Lists the channels that this home knows, with what it has seen of them. */
  async list(): Promise<ChannelListing[]> {
    return Promise.all(
      this.#options.channels.list().map(async (entry) => {
        const deadline = peerDeadline(undefined, LIST_MS, 'this channel')
        try {
          const log = this.#open(entry)
          await log.ready()
          if (log.length === 0) return this.#listing(entry, undefined)
          const { number, bytes } = await log.newest({ lookMs: 0, signal: deadline.signal })
          // What was not taken, such as a rollback, is not what the channel stands for here.
          const taken = number === entry.seen ? recordOf(entry, { number, bytes }) : undefined
          return this.#listing(entry, taken)
        } catch {
          return this.#listing(entry, undefined)
        } finally {
          deadline.clear()
        }
      })
    )
  }

  /**
   * Keeps what a channel names, from now on and after every restart.
   *
   * @throws ContainerError everything that {@link resolve} throws; `BAD_LINK` to seed what this home cannot read
   */
  async follow(
    { channel, how, quota, peerTimeoutMs }: ChannelFollowRequest,
    signal: AbortSignal
  ): Promise<ChannelFollowResponse> {
    const request = { channel, peerTimeoutMs, offline: false, acceptRollback: false }
    const found = await this.resolve(request, signal)
    await this.following.begin(this.#entry(channel).key, {
      how,
      ...(quota !== undefined && { quota })
    })
    return { ...found, follows: how, imageKey: formatKey(parseLink(found.image).key) }
  }

  /** Waits until a channel that is known names another image than `image`. @throws ContainerError `NOT_FOUND`; the signal's reason */
  async watch(
    { channel, image }: ChannelWatchRequest,
    signal: AbortSignal
  ): Promise<ChannelWatchResponse> {
    const { key } = this.#entry(channel)
    return { image: await this.#watches.untilOther(key, image, signal) }
  }

  /** Keeps what a channel names now, and no longer follows it. @throws ContainerError `NOT_FOUND` */
  async unfollow(channel: string): Promise<ChannelListing> {
    await this.following.end(this.#entry(channel).key)
    return this.#listing(this.#entry(channel), undefined)
  }

  /**
   * Forgets a channel; what it named stays.
   *
   * @throws ContainerError `NOT_FOUND`; `BUSY` where it is this home's and that is not wanted
   */
  async forget({ channel, force }: ChannelForgetRequest): Promise<ChannelListing> {
    const { channels, node } = this.#options
    const entry = this.#entry(channel)
    if (entry.namespace !== null && !force) {
      throw new ContainerError(
        'BUSY',
        `this machine sets the channel ${entry.name}: once it is removed, nobody can ever set it again`,
        { hint: `to remove it anyway: dat-container channel rm --force ${entry.name}` }
      )
    }
    const listing = this.#listing(entry, undefined)
    if (entry.follow !== undefined) await this.following.end(entry.key)
    await channels.remove(entry)
    const log = this.#logs.get(entry.key)
    this.#logs.delete(entry.key)
    await log?.clear()
    await log?.[Symbol.asyncDispose]()
    await node.knownPeers?.forget(Buffer.from(entry.key, 'hex'))
    return listing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.following[Symbol.asyncDispose]()
    const logs = [...this.#logs.values()]
    this.#logs.clear()
    await Promise.allSettled(logs.map((log) => log[Symbol.asyncDispose]()))
  }

  async #set(
    { channel, image, allowRollback }: ChannelSetRequest,
    signal: AbortSignal
  ): Promise<ChannelListing> {
    const entry = this.#entry(channel)
    const { namespace, secret } = entry
    if (namespace === null || secret === null) {
      throw new ContainerError('NOT_FOUND', 'this machine does not own that channel', {
        hint: 'only the home that created a channel can set it'
      })
    }
    const link = this.#options.linkOf(image)
    const log = this.#open(entry)
    await log.ready()
    await this.#takeLost(entry, log, signal)
    const before =
      log.length > 0 ? recordOf(entry, await log.newest({ lookMs: 0, signal })) : undefined
    if (before && formatLink(before.link) === formatLink(link)) return this.#listing(entry, before)
    const older = rollbackIn(entry, link, this.#options.knownVersion)
    if (older !== undefined && !allowRollback) {
      throw new ContainerError(
        'ROLLED_BACK',
        `the channel ${entry.name} has named version ${older} of this image, and this is version ${link.version}`,
        {
          hint: 'readers refuse to go back: share the old content as a new version instead, or use --allow-rollback'
        }
      )
    }
    const place = { channel: log.key, number: log.length + 1 }
    const key = Buffer.from(secret, 'hex')
    const bytes = encodeRecord(place, key, { link, setMs: Date.now() })
    await log.append(bytes)
    const taken = recordOf(entry, { number: place.number, bytes })
    const after = afterTaking(entry, taken)
    await this.#options.channels.put(after)
    return this.#listing(after, taken)
  }

  /** A home whose store was lost or restored must not sign a second history. @throws ContainerError `FORKED` */
  async #takeLost(entry: ChannelEntry, log: ChannelLog, signal: AbortSignal): Promise<void> {
    const mayLack = this.#mayLack.has(entry.key) || log.length < entry.seen
    await log.catchUp(mayLack ? LOST_LOOK_MS : 0, signal)
    this.#mayLack.delete(entry.key)
    if (log.length >= entry.seen && !log.isBehind && entry.forked !== true) return
    throw new ContainerError(
      'FORKED',
      `this home has lost records of the channel ${entry.name}, and would set others in their place`,
      {
        hint: 'try again when a reader or a mirror of the channel is online; if there is none, create another channel'
      }
    )
  }

  /** Takes a record as the newest one, unless it is older than what was seen. @throws ContainerError `ROLLED_BACK` */
  async #take(
    meant: ChannelEntry,
    record: { readonly number: number; readonly bytes: Buffer },
    acceptRollback: boolean
  ): Promise<TakenRecord> {
    const { channels, knownVersion } = this.#options
    const known = channels.find(meant.key)
    const { secret, peers } = meant
    const entry: ChannelEntry = known ? { ...known, secret, ...(peers && { peers }) } : meant
    const taken = recordOf(entry, record)
    if (!acceptRollback) {
      if (record.number < entry.seen) {
        throw rolledBack(
          `peers have only record ${record.number} of this channel, and this home has seen record ${entry.seen}`
        )
      }
      const older = rollbackIn(entry, taken.link, knownVersion)
      if (older !== undefined) {
        throw rolledBack(
          `the channel names version ${taken.link.version} of an image of which this home has seen version ${older} in it`
        )
      }
    }
    const after = afterTaking(entry, taken)
    if (JSON.stringify(after) !== JSON.stringify(known)) await channels.put(after)
    return taken
  }

  /** The channel that was not found is open for nobody. */
  async #doneAsking(key: string): Promise<void> {
    const left = (this.#asking.get(key) ?? 1) - 1
    if (left > 0) {
      this.#asking.set(key, left)
      return
    }
    this.#asking.delete(key)
    if (this.#options.channels.find(key) !== undefined) return
    const log = this.#logs.get(key)
    this.#logs.delete(key)
    await log?.[Symbol.asyncDispose]()
  }

  /** The entry of a channel, with what its link adds to it. It is kept when the link has proven to be right. */
  #meant(text: string): ChannelEntry {
    const { channels } = this.#options
    if (!looksLikeChannelLink(text)) return channels.named(text)
    const { key, secret, peers } = parseChannelLink(text)
    const hex = key.toString('hex')
    const known = channels.find(hex)
    return {
      ...(known ?? {
        key: hex,
        namespace: null,
        name: formatKey(key).slice(0, 12),
        createdAt: new Date().toISOString(),
        seen: 0,
        images: []
      }),
      secret: secret?.toString('hex') ?? known?.secret ?? null,
      ...(peers && { peers })
    }
  }

  /** @throws ContainerError `NOT_FOUND`, `BAD_LINK`, `USAGE` */
  #entry(text: string): ChannelEntry {
    const { channels } = this.#options
    if (!looksLikeChannelLink(text)) return channels.named(text)
    const found = channels.find(parseChannelLink(text).key.toString('hex'))
    if (found) return found
    throw new ContainerError('NOT_FOUND', 'this machine does not know that channel', {
      hint: '`dat-container channel ls` lists those that it knows'
    })
  }

  #open(entry: ChannelEntry): ChannelLog {
    const { node, channels, log } = this.#options
    const already = this.#logs.get(entry.key)
    if (already) return already
    const opened = new ChannelLog({
      node,
      key: Buffer.from(entry.key, 'hex'),
      namespace: entry.namespace,
      isFollowed: () =>
        channels.find(entry.key)?.follow !== undefined || this.#watches.has(entry.key),
      onRecord: () => {
        this.following.wake(entry.key)
        this.#watches.wake(entry.key)
      },
      onFork: () => {
        this.#change(entry.key, (known) => {
          if (known.forked === true) return undefined
          log.error({ channel: entry.name }, 'peers have another history of this channel')
          return { ...known, forked: true }
        }).catch(() => {})
      }
    })
    this.#logs.set(entry.key, opened)
    opened.addPeers(entry.peers ?? [])
    return opened
  }

  /** What a channel that is known names now, as far as peers that are connected tell. */
  async #named(key: string, signal: AbortSignal): Promise<Link> {
    const entry = this.#options.channels.find(key)
    if (entry === undefined) throw new ContainerError('NOT_FOUND', 'the channel was removed')
    const { number, bytes } = await this.#open(entry).newest({ lookMs: 1, signal })
    const taken = await this.#inTurn(key, () => {
      const now = this.#options.channels.find(key)
      if (now === undefined) throw new ContainerError('NOT_FOUND', 'the channel was removed')
      return this.#take(now, { number, bytes }, false)
    })
    return taken.link
  }

  /** Changes the entry of a channel when no other change of it is under way; undefined leaves it. */
  #change(key: string, changed: (entry: ChannelEntry) => ChannelEntry | undefined): Promise<void> {
    const { channels } = this.#options
    return this.#inTurn(key, async () => {
      const entry = channels.find(key)
      const after = entry && changed(entry)
      if (after) await channels.put(after)
    })
  }

  #inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const next = (this.#turns.get(key) ?? Promise.resolve()).catch(() => {}).then(work)
    this.#turns.set(key, next)
    const forget = (): void => {
      if (this.#turns.get(key) === next) this.#turns.delete(key)
    }
    next.then(forget, forget)
    return next
  }

  #listing(entry: ChannelEntry, taken: TakenRecord | undefined): ChannelListing {
    const { advertise } = this.#options
    const own = entry.namespace !== null && advertise ? [advertise] : []
    const peers = [...(entry.peers ?? []), ...own]
    return listChannel(entry, taken, { peers, connected: this.#logs.get(entry.key)?.peers ?? 0 })
  }
}

function notSet({ name }: ChannelEntry): ContainerError {
  return new ContainerError('NOT_FOUND', `the channel ${name} names nothing yet`, {
    hint: `dat-container channel set ${name} IMAGE`
  })
}

function rolledBack(message: string): ContainerError {
  return new ContainerError('ROLLED_BACK', message, {
    hint: 'somebody may want you to run an old image; if its owner told you that this is meant: dat-container channel show --accept-rollback CHANNEL'
  })
}
