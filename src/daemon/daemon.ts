import { mkdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import { ContainerError, systemErrorCode } from '../core/errors.ts'
import { checkedSocketDirectory } from '../rpc/group-socket.ts'
import { formatKey } from '../p2p/link.ts'
import { formatPeerAddress } from '../p2p/peer-address.ts'
import { haveHeads } from '../p2p/store/log-heads.ts'
import { PeerNode } from '../p2p/peers/peer-node.ts'
import type { SwarmTraffic } from '../p2p/peers/traffic-count.ts'
import { storeDamaged } from '../p2p/store-error.ts'
import { BlockExchangeFile } from './publish/block-exchange.ts'
import { ClientConnection } from './serve/client-connection.ts'
import { ClientSocket } from './client-socket.ts'
import { DrivePool } from './catalog/drive-pool.ts'
import type { HomePaths } from '../home/home.ts'
import { ChannelCatalog } from './catalog/channel-catalog.ts'
import { ImageCatalog, type CatalogEntry } from './catalog/image-catalog.ts'
import { isOtherLog } from './catalog/other-logs.ts'
import { DiskLimit } from './keep/disk-limit.ts'
import { ImageUsage } from './keep/image-usage.ts'
import { ChannelService } from './serve/channel-service.ts'
import { NamedImages } from './serve/named-images.ts'
import { RequestLog } from './serve/request-log.ts'
import { ImageService } from './serve/image-service.ts'
import { changedSettings, daemonSettingsOf, type DaemonSettings } from '../rpc/daemon-settings.ts'
import { CleanupStack } from '../core/cleanup-stack.ts'
import { lockHolder, takeLock, type KernelLock } from '../core/host/kernel-lock.ts'
import type { DaemonStatus, ImageListing, ReloadRequest, ReloadResponse } from '../rpc/protocol.ts'
import { formatMetricsAddress } from '../rpc/metrics-address.ts'
import type { UiAddress } from '../rpc/ui-address.ts'
import { PageToken } from './page/page-token.ts'
import { StartHistory } from './page/start-history.ts'
import type { PageServer } from './page/page-server.ts'
import { RpcChannel } from '../rpc/rpc.ts'
import { StoreRecord } from './catalog/store-record.ts'

export interface DaemonOptions {
  readonly paths: HomePaths
  readonly settings: DaemonSettings
  readonly release: string
  readonly log: Logger
  /** Where members of this process's group may come in, too; for other users' daemons. @default nowhere */
  readonly groupSocket?: string | undefined
}

/** The owner of one home's store and swarm. It serves the socket until it is disposed of. */
export class Daemon implements AsyncDisposable {
  /** Resolves when a client has asked the daemon to stop. */
  readonly stopRequested: Promise<void>
  readonly #options: DaemonOptions & { readonly record: StoreRecord }
  readonly #lock: KernelLock
  readonly #node: PeerNode
  readonly #pool: DrivePool
  readonly #service: ImageService
  readonly #channels: ChannelService
  readonly #diskLimit: DiskLimit
  readonly #usage: ImageUsage
  readonly #starts: StartHistory
  readonly #sockets: ClientSocket[] = []
  readonly #connections = new Set<ClientConnection>()
  readonly #startedAt = new Date()
  #settings: DaemonSettings
  #metrics: AsyncDisposable | undefined
  readonly #pageToken = new PageToken()
  #page: PageServer | undefined
  #requestStop!: () => void

  private constructor(
    options: DaemonOptions & { readonly record: StoreRecord },
    lock: KernelLock,
    node: PeerNode,
    pool: DrivePool,
    service: ImageService,
    channels: ChannelService,
    diskLimit: DiskLimit,
    { usage, starts }: { usage: ImageUsage; starts: StartHistory }
  ) {
    this.#options = options
    this.#settings = options.settings
    this.#lock = lock
    this.#node = node
    this.#pool = pool
    this.#service = service
    this.#channels = channels
    this.#diskLimit = diskLimit
    this.#usage = usage
    this.#starts = starts
    this.stopRequested = new Promise((resolve) => (this.#requestStop = resolve))
  }

  /**
   * Opens the store, reopens every image of the seed list and listens.
   *
   * @throws ContainerError `DAEMON_RUNNING` when this home has a daemon; `BUSY`, `IO`
   */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const { paths, settings, log } = options
    const { bootstrap, listening, limits } = settings
    const lock = await takeLock(paths.daemonLock, { keepFile: true, tellHolder: true })
    if (!lock) {
      const pid = await lockHolder(paths.daemonLock)
      throw new ContainerError(
        'DAEMON_RUNNING',
        `a daemon already serves ${paths.home}${pid ? ` (process ${pid})` : ''}`,
        { hint: 'use it as it is, stop it with `dat-container daemon stop`, or use another --home' }
      )
    }
    const opened = new CleanupStack()
    opened.hold(lock)
    try {
      mkdirSync(paths.store, { recursive: true, mode: 0o700 })
      await BlockExchangeFile.sweep(paths.runtime)
      const catalog = await ImageCatalog.load(paths.catalog)
      const channelCatalog = await ChannelCatalog.load(paths.channels)
      const record = await StoreRecord.read(paths)
      const node = await PeerNode.open({
        storage: paths.store,
        identity: paths.swarmIdentity,
        knownPeers: paths.peers,
        seed: record.seed,
        bootstrap,
        listen: listening.listen,
        exchanges: listening.exchanges,
        ...limits,
        allowed: listening.allowed,
        lan: listening.lan,
        nat: listening.nat,
        relays: listening.relays,
        // A default port is a different one each time, so that nothing outside refers to it.
        outsidePort: listening.listen === 'known' ? undefined : listening.advertise?.port,
        onStoreTrouble: (text, details) => log.error(details, text),
        onPeerDropped: ({ publicKey, ...dropped }) =>
          log.warn(
            { peer: formatKey(Buffer.from(publicKey, 'hex')), ...dropped },
            dropped.why === 'lied'
              ? 'a peer sent a wrong block and is dropped for a while'
              : 'a peer does not send blocks that it has and is dropped for a while'
          ),
        onLanTrouble: (address, err) =>
          log.warn({ address, err }, 'peers of this network are not found by multicast'),
        onConnectionError: (error) => log.debug({ err: error }, 'a peer connection failed')
      })
      opened.hold(node)
      await checkHeads(node, [...catalog.list(), ...channelCatalog.list()])
      await record.noteOpened(node.seed)
      const usage = await ImageUsage.load(paths.imageUsage)
      opened.hold(usage)
      const starts = await StartHistory.load(paths.starts)
      const pool = new DrivePool(node, (key) => void service.noteFork(key))
      opened.hold(pool)
      const isNoImage = (key: Buffer): Promise<boolean> =>
        isOtherLog(key, { catalog, node, channels: channelCatalog })
      const service = new ImageService({
        catalog,
        node,
        pool,
        log,
        home: paths.home,
        usage,
        isOtherLog: isNoImage,
        mayLackVersions: !record.isAsLeft,
        advertise: listening.advertise
      })
      await service.resume()
      const channels = new ChannelService({
        channels: channelCatalog,
        node,
        log,
        mayLackRecords: !record.isAsLeft,
        advertise: listening.advertise,
        images: new NamedImages({ service, catalog, pool, paths, isOtherLog: isNoImage, log }),
        linkOf: (image) => service.linkOf(image),
        knownVersion: (key) => catalog.find(key)?.version ?? null
      })
      opened.hold(channels)
      channels.resume()
      const seeded = (entry: CatalogEntry) => service.seeded(entry)
      const diskLimit = new DiskLimit({ catalog, node, pool, usage, paths, seeded, log })
      opened.hold(diskLimit)
      const daemon = new Daemon(
        { ...options, record },
        lock,
        node,
        pool,
        service,
        channels,
        diskLimit,
        {
          usage,
          starts
        }
      )
      await daemon.#serveMetrics()
      await daemon.#servePage(settings.ui)
      await daemon.#listen()
      log.info({ home: paths.home, bootstrap: bootstrap ?? 'public' }, 'daemon started')
      return daemon
    } catch (error) {
      throw await opened.undoAfter(error)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#node.beginEnd()
    await this.#metrics?.[Symbol.asyncDispose]()
    await this.#page?.[Symbol.asyncDispose]()
    const closed = this.#sockets.map((socket) => socket.close())
    for (const connection of this.#connections) connection.close()
    await Promise.all(closed)
    await Promise.allSettled([...this.#connections].map((connection) => connection.ended))
    await this.#starts.written()
    await this.#diskLimit[Symbol.asyncDispose]()
    await this.#channels[Symbol.asyncDispose]()
    await this.#service[Symbol.asyncDispose]()
    await this.#pool[Symbol.asyncDispose]()
    await this.#node[Symbol.asyncDispose]()
    const { record, log } = this.#options
    // Nothing depends on it: the next start looks for peers where it need not.
    await record
      .noteClosed(this.#node.seed)
      .catch((err: unknown) => log.warn({ err }, 'the store is closed, and that is not noted'))
    await this.#lock[Symbol.asyncDispose]()
    this.#options.log.info('daemon stopped')
  }

  status(): DaemonStatus {
    const { paths, release } = this.#options
    const { bootstrap, listening } = this.#settings
    const { advertise } = listening
    const listen = this.#node.listening
    return {
      pid: process.pid,
      home: paths.home,
      version: release,
      startedAt: this.#startedAt.toISOString(),
      bootstrap: bootstrap ?? null,
      publicKey: formatKey(this.#node.publicKey),
      allowed: this.#node.allowed
        ? [...this.#node.allowed].map((key) => formatKey(Buffer.from(key, 'hex')))
        : null,
      nat: this.#node.nat,
      online: this.#node.isOnline,
      listen: listen ? formatPeerAddress(listen) : null,
      advertise: advertise ? formatPeerAddress(advertise) : null,
      ...this.#network(),
      images: this.#service.count,
      metrics: this.#settings.metrics ? formatMetricsAddress(this.#settings.metrics) : null,
      ui: this.#page?.url ?? null,
      groupSocket: this.#options.groupSocket ?? null,
      disk: {
        usedBytes: this.#node.space.measure(),
        maxBytes: this.#node.space.maxBytes ?? null
      },
      ...this.#node.rates.rates,
      store: this.#node.health.trouble
    }
  }

  /**
   * Takes other settings without losing a peer: those that can be changed while it runs.
   *
   * @throws ContainerError `USAGE` for a value that is none, `IO` where the page cannot be served; then nothing changes
   */
  async reload({ environment }: ReloadRequest, log: Logger): Promise<ReloadResponse> {
    const next = daemonSettingsOf(environment)
    const before = this.#settings
    const { live, fixed } = changedSettings(before, next)
    const { limits, listening, logLevel } = next
    const keys = new Set(live.map(({ key }) => key))
    if (keys.has('ui')) await this.#servePage(next.ui)
    if (keys.has('log-level')) this.#options.log.level = logLevel
    if (keys.has('max-up') || keys.has('max-down')) this.#node.rates.limit(limits)
    if (keys.has('max-disk')) {
      this.#node.space.limit(limits.maxDiskBytes)
      this.#diskLimit.limitChanged()
    }
    if (keys.has('peer-exchange')) this.#node.exchange(listening.exchanges)
    if (keys.has('allow')) this.#node.allowOnly(listening.allowed)
    const { allowed, exchanges } = listening
    this.#settings = {
      ...before,
      ui: next.ui,
      limits,
      logLevel,
      listening: { ...before.listening, allowed, exchanges }
    }
    log.info({ changed: live, needRestart: fixed }, 'settings were read again')
    return { changed: live, needRestart: fixed }
  }

  #network(): SwarmTraffic & Pick<DaemonStatus, 'dropped'> {
    const dropped = this.#node.dropped.map((peer) => ({
      ...peer,
      publicKey: formatKey(Buffer.from(peer.publicKey, 'hex'))
    }))
    return { ...this.#node.traffic(), dropped }
  }

  /** @param isMember whether it came in where members of a group do */
  #accept(socket: Socket, isMember: boolean): void {
    const requests = new RequestLog(this.#options.log)
    const connection = new ClientConnection({
      channel: new RpcChannel(socket, (answered) => requests.note(answered)),
      isMember,
      service: this.#service,
      channels: this.#channels,
      runtime: this.#options.paths.runtime,
      status: () => this.status(),
      network: () => this.#network(),
      shutdown: () => this.#requestStop(),
      reload: (request, log) => this.reload(request, log),
      pageUrl: () => this.#pageUrl(),
      noteStart: (start) => this.#starts.note(start),
      evict: ({ toBytes, dryRun }) => this.#diskLimit.evict({ toBytes, dryRun }),
      listenForGuests: () => this.#node.listenForGuests(),
      log: this.#options.log
    })
    this.#connections.add(connection)
    void connection.ended.finally(() => {
      this.#connections.delete(connection)
      socket.destroy()
    })
  }

  async #serveMetrics(): Promise<void> {
    const { metrics } = this.#settings
    if (metrics === undefined) return
    const { MetricsServer } = await import('./metrics/metrics-server.ts')
    const images = (): Promise<ImageListing[]> => this.#service.list(false)
    this.#metrics = await MetricsServer.open(metrics, { status: () => this.status(), images })
  }

  /** Serves the page there, and no longer elsewhere. @throws ContainerError `IO`; then nothing changes */
  async #servePage(address: UiAddress | undefined): Promise<void> {
    const page = address && (await this.#openPage(address))
    const before = this.#page
    this.#page = page
    await before?.[Symbol.asyncDispose]()
  }

  async #openPage(address: UiAddress): Promise<PageServer> {
    const { PageServer } = await import('./page/page-server.ts')
    const observed = {
      status: () => this.status(),
      images: () => this.#service.list(false),
      opened: (image: ImageListing) => this.#service.opened(image),
      peerBytes: this.#usage.peerBytes,
      starts: () => this.#starts.all
    }
    const page = await PageServer.open({ address, token: this.#pageToken, observed })
    this.#options.log.info({ url: page.url }, 'the page is served')
    return page
  }

  #pageUrl(): string {
    if (this.#page !== undefined) return this.#page.urlWithToken
    throw new ContainerError('NOT_FOUND', 'the daemon serves no page', {
      hint: 'to serve it from now on: dat-container daemon reload --ui; from each start on: ui = any in the configuration file'
    })
  }

  async #listen(): Promise<void> {
    const { paths, groupSocket } = this.#options
    const accept = (socket: Socket): void => this.#accept(socket, false)
    this.#sockets.push(await ClientSocket.listen(paths.daemonSocket, 'user', accept))
    if (groupSocket === undefined) return
    const path = groupSocketPath(groupSocket)
    const acceptMember = (socket: Socket): void => this.#accept(socket, true)
    this.#sockets.push(await ClientSocket.listen(path, 'group', acceptMember))
  }
}

/** @throws ContainerError `IO` where others could put a socket of theirs in its place */
function groupSocketPath(path: string): string {
  try {
    return join(checkedSocketDirectory(dirname(path)), basename(path))
  } catch (cause) {
    const code = systemErrorCode(cause)
    if (code === undefined) throw cause
    throw new ContainerError('IO', `cannot listen on ${path}: ${code}`, {
      hint: 'have root make its directory for the daemon’s user (mode 750)',
      cause
    })
  }
}

/** @throws ContainerError `STORE_DAMAGED` where an image's logs would not open, or open as if they were new */
async function checkHeads(
  node: PeerNode,
  entries: readonly Pick<CatalogEntry, 'key' | 'name'>[]
): Promise<void> {
  const sound = await Promise.all(
    entries.map(({ key }) => haveHeads(node.store.storage, Buffer.from(key, 'hex')))
  )
  const damaged = entries.filter((_entry, number) => !sound[number])
  if (damaged.length === 0) return
  const names = damaged.map(({ name }) => name).join(', ')
  throw storeDamaged(
    `the store ${node.storage} is damaged where it tells how far these go: ${names}`
  )
}
