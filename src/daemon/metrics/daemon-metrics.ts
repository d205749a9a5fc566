import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import type { DaemonStatus, ImageListing } from '../../rpc/protocol.ts'

/** What the metrics are of, asked for with each request. */
export interface Observed {
  readonly status: () => DaemonStatus
  readonly images: () => Promise<readonly ImageListing[]>
}

export interface DaemonMetrics {
  readonly contentType: string
  /** Reads all metrics. @returns them as Prometheus reads them */
  text(): Promise<string>
}

/** Names say the unit, as Prometheus wants it: https://prometheus.io/docs/practices/naming/ */
const PREFIX = 'dat_container_'

type Reading<Of> = readonly [name: string, help: string, read: (of: Of) => number]

const GAUGES: readonly Reading<DaemonStatus>[] = [
  ['peers', 'Connected peers.', ({ connections }) => connections],
  ['peers_tcp', 'Peers that are connected by TCP.', ({ direct }) => direct],
  ['peers_dropped', 'Peers that are left alone for a while.', ({ dropped }) => dropped.length],
  ['online', 'Whether a node of the DHT answers.', ({ online }) => Number(online)],
  ['images', 'Images of this home.', ({ images }) => images],
  ['store_bytes', 'Disk that the store takes.', ({ disk }) => disk.usedBytes],
  ['store_limit_bytes', 'Disk that it may take.', ({ disk }) => disk.maxBytes ?? Infinity]
]

const COUNTERS: readonly Reading<DaemonStatus>[] = [
  ['received_bytes_total', 'Bytes from all peers.', ({ bytesRead }) => bytesRead],
  ['sent_bytes_total', 'Bytes to all peers.', ({ bytesWritten }) => bytesWritten],
  ['damaged_blocks_total', 'Blocks found damaged.', ({ store }) => store.damagedBlocks],
  ['unstored_blocks_total', 'Blocks that were not stored.', ({ store }) => store.unstoredBlocks]
]

const OF_IMAGES: readonly Reading<ImageListing>[] = [
  ['image_blocks_held', 'Blocks of an image in the store.', ({ blocksHeld }) => blocksHeld],
  ['image_blocks_known', 'Blocks that an image has.', ({ blocksKnown }) => blocksKnown],
  ['image_complete', 'Whether all to be kept is here.', ({ complete }) => Number(complete)],
  ['image_peers', 'Connected peers that have it.', ({ peers }) => peers],
  ['image_stored_bytes', 'Bytes that all its blocks take.', ({ storedBytes }) => storedBytes]
]

const OF_IMAGES_TOTAL: readonly Reading<ImageListing>[] = [
  ['image_sent_bytes_total', 'Bytes of its blocks sent.', ({ uploadedBytes }) => uploadedBytes],
  ['image_received_bytes_total', 'Bytes received.', ({ downloadedBytes }) => downloadedBytes]
]

/** Labels of an image are its name on this machine and its public key, never its secret. */
const LABELS = ['image', 'key', 'role'] as const

/** Makes metrics of a daemon; they are read when they are asked for. */
export function daemonMetrics(observed: Observed): DaemonMetrics {
  let current = observed.status()
  let listed: readonly ImageListing[] = []
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry, prefix: PREFIX })
  for (const [name, help, read] of GAUGES) {
    const collect = function (this: Gauge): void {
      this.set(read(current))
    }
    void new Gauge({ name: PREFIX + name, help, registers, collect })
  }
  for (const [name, help, read] of COUNTERS) {
    const collect = function (this: Counter): void {
      this.reset()
      this.inc(read(current))
    }
    void new Counter({ name: PREFIX + name, help, registers, collect })
  }
  for (const [name, help, read] of OF_IMAGES) {
    const collect = function (this: Gauge<(typeof LABELS)[number]>): void {
      this.reset()
      for (const image of listed) this.set(labelsOf(image), read(image))
    }
    void new Gauge({ name: PREFIX + name, help, registers, labelNames: LABELS, collect })
  }
  for (const [name, help, read] of OF_IMAGES_TOTAL) {
    const collect = function (this: Counter<(typeof LABELS)[number]>): void {
      this.reset()
      for (const image of listed) this.inc(labelsOf(image), read(image))
    }
    void new Counter({ name: PREFIX + name, help, registers, labelNames: LABELS, collect })
  }
  return {
    contentType: registry.contentType,
    async text() {
      current = observed.status()
      listed = await observed.images()
      return registry.metrics()
    }
  }
}

function labelsOf({ name, key, role }: ImageListing): Record<(typeof LABELS)[number], string> {
  return { image: name, key, role }
}
