import { printable } from '../../print/output.ts'
import { fittedTable, shortened } from '../../print/table.ts'
import type { ContainerSample, Sample } from './sample.ts'

/** Between two samples; rates are bytes a second, and null where there is only one sample. */
export interface TopDocument {
  readonly at: string
  readonly daemon: {
    readonly pid: number
    readonly upRate: number | null
    readonly downRate: number | null
    /** What it may send and fetch at most; null for no limit. */
    readonly maxUp: number | null
    readonly maxDown: number | null
    readonly peers: number
    readonly peersByTcp: number
    readonly storeBytes: number
    readonly maxStoreBytes: number | null
  } | null
  readonly images: readonly TopImage[]
  readonly containers: readonly TopContainer[]
}

interface TopImage {
  readonly name: string
  /** z32. */
  readonly key: string
  readonly blocksHeld: number
  readonly blocksKnown: number
  readonly complete: boolean
  readonly peers: number
  readonly upRate: number | null
  readonly downRate: number | null
}

interface TopContainer {
  readonly name: string
  readonly state: string
  /** Processor time per time: 1 is one processor. */
  readonly cpu: number | null
  readonly memoryBytes: number | null
  readonly processes: number | null
}

/** How many columns and rows of a terminal there are; undefined for as many as are needed. */
export interface Room {
  readonly columns: number | undefined
  readonly rows: number | undefined
}

const MS_PER_SECOND = 1_000

/** Compares two samples. What moves most comes first, and what moves equally by name. */
export function compareSamples(before: Sample | undefined, now: Sample): TopDocument {
  const elapsedMs = before === undefined ? 0 : now.atMs - before.atMs
  const perSecond = (earlier: number | undefined, later: number): number | null =>
    earlier === undefined || elapsedMs <= 0
      ? null
      : // A daemon that was started again counts from the beginning.
        Math.round((Math.max(0, later - earlier) * MS_PER_SECOND) / elapsedMs)
  const oldImages = new Map(before?.images.map((image) => [image.key, image]))
  const images = now.images.map((image): TopImage => {
    const { name, key, blocksHeld, blocksKnown, complete, peers } = image
    const old = oldImages.get(key)
    const upRate = perSecond(old?.uploadedBytes, image.uploadedBytes)
    const downRate = perSecond(old?.downloadedBytes, image.downloadedBytes)
    return { name, key, blocksHeld, blocksKnown, complete, peers, upRate, downRate }
  })
  const oldContainers = new Map(before?.containers.map((one) => [one.name, one]))
  const containers = now.containers.map((container) =>
    comparedContainer(oldContainers.get(container.name), container, elapsedMs)
  )
  const ofImage = ({ upRate, downRate }: TopImage): number => (upRate ?? 0) + (downRate ?? 0)
  return {
    at: new Date().toISOString(),
    daemon: now.daemon && {
      pid: now.daemon.pid,
      upRate: perSecond(before?.daemon?.bytesWritten, now.daemon.bytesWritten),
      downRate: perSecond(before?.daemon?.bytesRead, now.daemon.bytesRead),
      maxUp: now.daemon.maxUp,
      maxDown: now.daemon.maxDown,
      peers: now.daemon.connections,
      peersByTcp: now.daemon.direct,
      storeBytes: now.daemon.disk.usedBytes,
      maxStoreBytes: now.daemon.disk.maxBytes
    },
    images: sorted(images, ofImage),
    containers: sorted(containers, ({ cpu }) => cpu ?? 0)
  }
}

function comparedContainer(
  before: ContainerSample | undefined,
  { name, state, figures }: ContainerSample,
  elapsedMs: number
): TopContainer {
  const old = before?.figures
  // Processes that have ended take their time with them.
  const cpuMs = figures && old ? Math.max(0, figures.cpuMs - old.cpuMs) : undefined
  return {
    name,
    state,
    cpu: cpuMs === undefined || elapsedMs <= 0 ? null : cpuMs / elapsedMs,
    memoryBytes: figures?.rssBytes ?? null,
    processes: figures?.pids ?? null
  }
}

function sorted<T extends { readonly name: string }>(
  all: readonly T[],
  by: (one: T) => number
): T[] {
  return all.toSorted((a, b) => by(b) - by(a) || a.name.localeCompare(b.name))
}

/**
 * Writes the lines of a view: the daemon, then containers, then images, as many as there is room for.
 *
 * @param bytes writes an amount of bytes
 */
export function topLines(
  { daemon, images, containers }: TopDocument,
  room: Room,
  bytes: (amount: number) => string
): string[] {
  const rate = (value: number | null): string => (value === null ? '-' : `${bytes(value)}/s`)
  const withMost = (text: string, most: string | null): string =>
    most === null ? text : `${text} of ${most}`
  const head =
    daemon === null
      ? ['no daemon runs']
      : [
          `daemon ${daemon.pid}`,
          `up ${withMost(rate(daemon.upRate), daemon.maxUp === null ? null : rate(daemon.maxUp))}`,
          `down ${withMost(rate(daemon.downRate), daemon.maxDown === null ? null : rate(daemon.maxDown))}`,
          `peers ${daemon.peers}, ${daemon.peersByTcp} by TCP`,
          `store ${withMost(bytes(daemon.storeBytes), daemon.maxStoreBytes === null ? null : bytes(daemon.maxStoreBytes))}`
        ]
  const containerRows = [
    ['CONTAINER', 'STATE', 'CPU', 'MEMORY', 'PROCESSES'],
    ...containers.map(({ name, state, cpu, memoryBytes, processes }) => [
      printable(name),
      printable(state),
      cpu === null ? '-' : `${(100 * cpu).toFixed(0)} %`,
      memoryBytes === null ? '-' : bytes(memoryBytes),
      processes === null ? '-' : String(processes)
    ])
  ]
  const imageRows = [
    ['IMAGE', 'HELD', 'UP', 'DOWN', 'PEERS', 'KEY'],
    ...images.map(({ name, key, blocksHeld, blocksKnown, upRate, downRate, peers }) => [
      printable(name),
      blocksKnown === 0 ? '-' : `${Math.floor((100 * blocksHeld) / blocksKnown)} %`,
      rate(upRate),
      rate(downRate),
      String(peers),
      key
    ])
  ]
  const { columns, rows } = room
  const left = rows === undefined ? undefined : Math.max(0, rows - 3)
  const forContainers = left === undefined || images.length === 0 ? left : Math.ceil(left / 2)
  const containerLines =
    containers.length === 0 ? [] : ['', ...cut(fittedTable(containerRows, columns), forContainers)]
  const forImages = left === undefined ? undefined : left - containerLines.length + 1
  const imageLines =
    images.length === 0 ? [] : ['', ...cut(fittedTable(imageRows, columns), forImages)]
  const lines = [head.join('   '), ...containerLines, ...imageLines]
  return (columns === undefined ? lines : lines.map((line) => shortened(line, columns))).slice(
    0,
    rows
  )
}

/** @param most how many lines there is room for */
function cut(lines: readonly string[], most: number | undefined): readonly string[] {
  if (most === undefined || lines.length <= most) return lines
  const shown = Math.max(1, most - 1)
  return [...lines.slice(0, shown), `… and ${lines.length - shown} more`]
}
