import type { Logger } from 'pino'
import { ContainerError } from '../../core/errors.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import { monotonicMs, processorMs } from '../../core/monotonic-clock.ts'
import type { DriveSession } from '../../p2p/transfer/drive-session.ts'
import { formatKey } from '../../p2p/link.ts'
import { cancelled, sharedController } from '../../core/abort.ts'
import { freedVersions } from '../catalog/freed-versions.ts'
import type { ChannelService } from './channel-service.ts'
import type { ImageService } from './image-service.ts'
import {
  METHODS,
  type DaemonStatus,
  type EvictRequest,
  type EvictResponse,
  type FillRequest,
  type HoldingRequest,
  type OpenRequest,
  type OpenResponse,
  type ReloadRequest,
  type ReloadResponse,
  type PublishBeginRequest,
  type PublishBeginResponse,
  type PublishCommitResponse,
  type StatsResponse
} from '../../rpc/protocol.ts'
import type { PageStart } from '../../rpc/page-protocol.ts'
import type { StartNote } from '../../rpc/start-note.ts'
import { UploadSession } from './upload-session.ts'
import type { RpcChannel } from '../../rpc/rpc.ts'

export interface ClientConnectionOptions {
  readonly channel: RpcChannel
  /** Whether this client came in where members of a group do. What is the whole daemon's is not for it to change. */
  readonly isMember: boolean
  readonly service: ImageService
  readonly channels: ChannelService
  /** Directory for what is exchanged with clients while they are connected. */
  readonly runtime: string
  readonly status: () => DaemonStatus
  /** The part of it that is asked for with each image, without measuring the disk. */
  readonly network: () => Pick<DaemonStatus, 'bytesRead' | 'dropped'>
  readonly shutdown: () => void
  readonly reload: (request: ReloadRequest, log: Logger) => Promise<ReloadResponse>
  readonly pageUrl: () => string
  readonly noteStart: (start: PageStart) => void
  readonly evict: (request: EvictRequest) => Promise<EvictResponse>
  readonly listenForGuests: () => Promise<number>
  readonly log: Logger
}

interface OpenHandle {
  readonly drive: DriveSession
  readonly manifest: Manifest
  /** Only what is on this machine is used. */
  readonly offline: boolean
  readonly bytesReadBefore: number
}

/**
 * A client's connection to the socket. When it closes, the images that it opened are closed and a publish that it
 * began is discarded.
 */
export class ClientConnection {
  readonly ended: Promise<void>
  readonly #options: ClientConnectionOptions
  readonly #gone = sharedController()
  readonly #handles = new Map<number, OpenHandle>()
  #nextHandle = 1
  #publish: UploadSession | undefined
  /** Links of what this client published for itself alone. */
  readonly #temporary: Buffer[] = []

  constructor(options: ClientConnectionOptions) {
    this.#options = options
    const { channel, service, channels } = options
    const logOf = (requestId: string): Logger => options.log.child({ requestId })
    channel.respond(METHODS.status, () => options.status())
    channel.respond(METHODS.shutdown, () => {
      this.#refuseMember('stopped')
      setImmediate(options.shutdown)
      return null
    })
    channel.respond(METHODS.reload, (request, id) => {
      this.#refuseMember('given other settings')
      return options.reload(request, logOf(id))
    })
    channel.respond(METHODS.page, () => ({ url: options.pageUrl() }))
    channel.respond(METHODS.noteStart, (note) => this.#noteStart(note))
    channel.respond(METHODS.listenForGuests, async () => ({
      port: await options.listenForGuests()
    }))
    channel.respond(METHODS.open, (request) => this.#open(request))
    channel.respond(METHODS.close, ({ handle }) => this.#close(handle))
    channel.respond(METHODS.block, ({ handle, block, ...options }) =>
      this.#fetcher(handle).read(block, {
        ...options,
        localOnly: this.#handle(handle).offline,
        signal: this.#gone.signal
      })
    )
    channel.respond(METHODS.fill, (request) => this.#fill(request))
    channel.respond(METHODS.freedVersions, ({ handle }) => {
      const { drive, manifest, offline } = this.#handle(handle)
      const isOwner = service.isOwner(drive.key)
      return freedVersions(this.#opened(handle), manifest, { isOwner, localOnly: offline })
    })
    channel.respond(METHODS.stats, ({ handle }) => this.#stats(handle))
    channel.respond(METHODS.holding, (request) => this.#holding(request))
    channel.respond(METHODS.prepareUpdate, async ({ image }) => {
      await service.prepareUpdate(image, this.#gone.signal)
      return null
    })
    channel.respond(METHODS.publishBegin, (request, id) => this.#beginPublish(request, logOf(id)))
    channel.respond(METHODS.publishAppend, (blocks) => this.#publishing().append(blocks))
    channel.respond(METHODS.publishAppendSlot, (request) => this.#publishing().appendSlot(request))
    channel.respond(METHODS.publishIndex, (packed) => this.#publishing().announceIndex(packed))
    channel.respond(METHODS.publishCommit, (manifest) => this.#commitPublish(manifest))
    channel.respond(METHODS.images, (request) => service.list(request?.settles === true))
    channel.respond(METHODS.mirror, (request, id) =>
      service.mirror(request, this.#gone.signal, logOf(id))
    )
    channel.respond(METHODS.seed, (request) => service.seed(request, this.#gone.signal))
    channel.respond(METHODS.pin, ({ image, pinned }) => service.pin(image, pinned))
    channel.respond(METHODS.channels, () => channels.list())
    channel.respond(METHODS.channelCreate, ({ name }) => channels.create(name))
    channel.respond(METHODS.channelSet, (request) => channels.set(request, this.#gone.signal))
    channel.respond(METHODS.channelResolve, (request) =>
      channels.resolve(request, this.#gone.signal)
    )
    channel.respond(METHODS.channelFollow, (request) => channels.follow(request, this.#gone.signal))
    channel.respond(METHODS.channelWatch, (request) => channels.watch(request, this.#gone.signal))
    channel.respond(METHODS.channelUnfollow, ({ channel }) => channels.unfollow(channel))
    channel.respond(METHODS.channelForget, (request) => channels.forget(request))
    channel.respond(METHODS.entrust, (request) => service.entrust(request))
    channel.respond(METHODS.gc, (request) => service.gc(request, this.#gone.signal))
    channel.respond(METHODS.evict, (request) => options.evict(request))
    channel.respond(METHODS.forget, ({ image, force = false }) =>
      service.forget(image, { force, followedBy: (key) => channels.following.followerOf(key) })
    )
    this.ended = channel.closed.then(() => this.#cleanUp())
  }

  close(): void {
    this.#options.channel.destroy()
  }

  /** @throws ContainerError `NEEDS_ROOT` */
  #refuseMember(what: string): void {
    if (!this.#options.isMember) return
    throw new ContainerError(
      'NEEDS_ROOT',
      `this daemon can be ${what} only by root and its own user`,
      {
        hint: 'for the service of `daemon install`: sudo systemctl stop dat-container, or reload'
      }
    )
  }

  async #open(request: OpenRequest): Promise<OpenResponse> {
    const asked = { askedMs: monotonicMs(), daemonCpuMs: processorMs() }
    const { drive, manifest, ...opened } = await this.#options.service.open(
      request,
      this.#gone.signal
    )
    if (this.#gone.signal.aborted) {
      await this.#options.service.close(drive)
      throw cancelled()
    }
    const handle = this.#nextHandle++
    const bytesReadBefore = this.#options.network().bytesRead
    this.#handles.set(handle, { drive, manifest, offline: request.offline, bytesReadBefore })
    const timing = { ...asked, ...drive.firstPeer, answeredMs: monotonicMs() }
    return { handle, ...opened, key: formatKey(drive.key), manifest, timing }
  }

  #noteStart({ handle, ...start }: StartNote): null {
    const { drive, manifest } = this.#handle(handle)
    // A publish tries its image: no container of anybody's.
    if (this.#options.service.isTemporary(drive.key)) return null
    const { name, version } = manifest
    this.#options.noteStart({ ...start, image: name, version, key: formatKey(drive.key) })
    return null
  }

  async #close(handle: number): Promise<null> {
    const open = this.#handles.get(handle)
    this.#handles.delete(handle)
    if (open) await this.#options.service.close(open.drive)
    return null
  }

  async #fill({ handle, ranges, wait }: FillRequest): Promise<null> {
    if (this.#handle(handle).offline) {
      if (wait) this.#fetcher(handle).checkHeld(ranges)
      return null
    }
    const ended = this.#fetcher(handle).fill(ranges, { eager: wait })
    if (wait) {
      await Promise.race([ended, this.#options.channel.closed])
      // Blocks that are reported as present must survive a power cut.
      await this.#options.service.sync()
    }
    // A disk that is full is told to the reads that meet it.
    else ended.catch(() => {})
    return null
  }

  #stats(handle: number): StatsResponse {
    const { bytesReadBefore } = this.#handle(handle)
    const { bytesRead, dropped } = this.#options.network()
    return {
      ...this.#fetcher(handle).counters,
      peers: this.#opened(handle).cores.blobs.peers.length,
      droppedPeers: dropped.filter(({ restMs }) => restMs > 0).length,
      linkBytes: bytesRead - bytesReadBefore,
      daemonCpuMs: processorMs()
    }
  }

  #holding({ handle, blocks }: HoldingRequest): Buffer {
    const fetcher = this.#fetcher(handle)
    const count = Math.min(blocks, this.#opened(handle).cores.blobs.length)
    // Blocks that nobody knows of are not here, and nothing is told of them.
    const bits = Buffer.alloc(Math.ceil(count / 8))
    for (let block = 0; block < count; block++) {
      if (fetcher.has(block)) bits[block >> 3] = (bits[block >> 3] ?? 0) | (1 << (block & 7))
    }
    return bits
  }

  async #beginPublish(request: PublishBeginRequest, log: Logger): Promise<PublishBeginResponse> {
    if (this.#publish) throw new ContainerError('USAGE', 'this connection already publishes')
    const { service, runtime, isMember } = this.#options
    // Another user cannot open a file of ours, and other members must not: its blocks come by the socket.
    const directory = isMember ? undefined : runtime
    const publish = await UploadSession.begin(service, request, { directory, log })
    if (this.#gone.signal.aborted) {
      await publish.abandon()
      throw cancelled()
    }
    this.#publish = publish
    return publish.begun
  }

  async #commitPublish(manifest: Manifest): Promise<PublishCommitResponse> {
    const publish = this.#publishing()
    const committed = await publish.commit(manifest)
    if (publish.isTemporary) this.#temporary.push(publish.driveKey)
    this.#publish = undefined
    return committed
  }

  #publishing(): UploadSession {
    if (!this.#publish) throw new ContainerError('USAGE', 'this connection publishes nothing')
    return this.#publish
  }

  #handle(handle: number): OpenHandle {
    const open = this.#handles.get(handle)
    if (!open) throw new ContainerError('USAGE', `this connection has no image ${handle} open`)
    return open
  }

  #opened(handle: number): NonNullable<DriveSession['opened']> {
    const { opened } = this.#handle(handle).drive
    if (!opened) throw new ContainerError('IO', 'the image was closed')
    return opened
  }

  #fetcher(handle: number): NonNullable<DriveSession['opened']>['fetcher'] {
    return this.#opened(handle).fetcher
  }

  async #cleanUp(): Promise<void> {
    this.#gone.abort(cancelled())
    const { service, log } = this.#options
    const publish = this.#publish
    this.#publish = undefined
    try {
      await publish?.abandon()
      for (const { drive } of this.#handles.values()) await service.close(drive)
      for (const key of this.#temporary) await service.forgetTemporary(key)
    } catch (err) {
      log.warn({ err }, 'could not clean up after a client')
    }
    this.#handles.clear()
  }
}
