import { mkdirSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Row } from '../report.ts'
import { median, rounded } from '../statistics.ts'
import type { WanNetwork } from '../wan/network.ts'
import { PULL } from './own-ways.ts'

/** What of a reader is counted: from its start on, for so long. */
const COUNTED_MS = 30_000
const FILES = 8
const FILE_BYTES = 64 * 1024
const GROUP = 10

interface Joined {
  readonly udp: number
  readonly tcp: number
  readonly bytes: number
  readonly tookMs: number
  readonly peers: number
}

/** Adds to a tree as little as an image can have that is still more than one block. */
export function tinyContent(directory: string): void {
  mkdirSync(join(directory, 'data'))
  for (let n = 0; n < FILES; n++)
    writeFileSync(join(directory, 'data', `${n}`), randomBytes(FILE_BYTES))
}

/**
 * Readers that come one after the other, each with a daemon of its own that stays: what each sends and receives
 * in its first half minute. With a tiny image this is what finding peers and keeping in touch with them costs.
 *
 * @param names of hosts, in the order in which they come
 * @param overMs from the first to the last
 * @returns medians of the first ten, of ten in the middle and of the last ten
 */
export async function measureJoining(
  network: WanNetwork,
  source: string,
  { names, overMs }: { readonly names: readonly string[]; readonly overMs: number }
): Promise<Row[]> {
  await using served = await PULL.serve(network, source)
  const began = performance.now()
  const joined = await Promise.all(
    names.map(async (name, n): Promise<Joined> => {
      await sleep((overMs * n) / Math.max(1, names.length - 1) - (performance.now() - began))
      const host = network.star.host(name)
      const before = { ...host.messages(), ...host.deviceBytes() }
      const started = performance.now()
      const reader = await served.reader(name)
      await reader.take()
      const tookMs = performance.now() - started
      await sleep(COUNTED_MS - tookMs)
      const after = { ...host.messages(), ...host.deviceBytes() }
      const { peers = 0 } = await reader.counts()
      return {
        udp: after.udp - before.udp,
        tcp: after.tcp - before.tcp,
        bytes: after.sent + after.received - before.sent - before.received,
        tookMs,
        peers
      }
    })
  )
  const middle = Math.floor((names.length - GROUP) / 2)
  return [
    summary('first', joined.slice(0, GROUP)),
    summary('middle', joined.slice(middle, middle + GROUP)),
    summary('last', joined.slice(-GROUP))
  ]
}

function summary(which: string, readers: readonly Joined[]): Row {
  const of = (value: (each: Joined) => number): number => rounded(median(readers.map(value)))
  return {
    readers: `${which} ${readers.length}`,
    'datagrams (DHT and UDX)': of(({ udp }) => udp),
    'TCP segments': of(({ tcp }) => tcp),
    kilobytes: of(({ bytes }) => bytes / 1_000),
    'connections at the end': of(({ peers }) => peers),
    'took ms': of(({ tookMs }) => tookMs)
  }
}
