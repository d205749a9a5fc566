/**
 * The switch in the middle of a star of hosts: carries packets between TUN devices, each behind a link
 * of its own in either direction. Started by star.ts; lines of JSON on stdin, an answer a line on
 * stdout; ends with its stdin, and its devices with it.
 *
 * One thread that waits in ppoll(2): no event loop, no thread pool, no timer a packet. That costs a
 * fraction of what a read through libuv does, and is exact to a tenth of a millisecond.
 */
import { readSync, writeSync } from 'node:fs'
import { setPriority } from 'node:os'
import { LinkQueue, type LinkCounters } from './link-queue.ts'
import type { SwitchAnswer, SwitchRequest, SwitchSetup } from './switch-protocol.ts'
import { Poller, Tun } from './tun.ts'

/** While packets flow the switch looks this often: many packets share one wake-up. */
const GRAIN_NS = 300_000n
const MTU_MAX = 2_048
const STDIN = 0
const STDOUT = 1
/** A late switch is a slower network: it goes before what it serves. */
const NICE = -10
const IPV4_DESTINATION = 16
const IPV4_HEADER = 20

interface Frame {
  readonly bytes: Uint8Array
  readonly view: DataView
  length: number
}

interface Port {
  readonly tun: Tun
  readonly up: LinkQueue<Frame>
  readonly down: LinkQueue<Frame>
}

const setup = JSON.parse(process.argv[2] ?? '') as SwitchSetup
setPriority(NICE)
const spare: Frame[] = []
const ports: Port[] = setup.hosts.map((host, n) => ({
  tun: new Tun(host.device),
  up: new LinkQueue(host.up, setup.seed + 2 * n),
  down: new LinkQueue(host.down, setup.seed + 2 * n + 1)
}))
const portOf = new Map(ports.map((port, n) => [addressNumber(setup.hosts[n]?.address ?? ''), port]))
const poller = new Poller([STDIN, ...ports.map(({ tun }) => tun.fd)])
let requests = ''
let unroutable = 0
answer()
for (;;) {
  poller.wait(untilNextDue())
  if (poller.ready(0) && !serveRequests()) break
  const moved = takeIn() + carry()
  if (moved > 0) poller.pause(GRAIN_NS)
}
for (const { tun } of ports) tun[Symbol.dispose]()

/** Reads what hosts sent. @returns how many packets */
function takeIn(): number {
  const now = performance.now()
  let count = 0
  for (const [n, { tun, up }] of ports.entries()) {
    if (!poller.ready(n + 1)) continue
    for (;;) {
      const frame = spare.pop() ?? newFrame()
      frame.length = tun.read(frame.bytes)
      if (frame.length <= 0) {
        spare.push(frame)
        break
      }
      count++
      if (!up.push(frame, frame.length, now)) spare.push(frame)
    }
  }
  return count
}

/** Moves every packet that is due a step further. @returns how many arrived */
function carry(): number {
  const now = performance.now()
  // In order of arrival at the switch, as the hosts' packets compete for one host's downlink.
  for (;;) {
    const port = ports.reduce((a, b) => (b.up.due < a.up.due ? b : a))
    const { due } = port.up
    if (due > now) break
    const frame = port.up.shift()
    const to = destination(frame)
    if (to === undefined) unroutable++
    if (!to?.down.push(frame, frame.length, due)) spare.push(frame)
  }
  let count = 0
  for (const { tun, down } of ports) {
    while (down.due <= now) {
      const frame = down.shift()
      tun.write(frame.bytes, frame.length)
      spare.push(frame)
      count++
    }
  }
  return count
}

function untilNextDue(): bigint | undefined {
  const due = Math.min(...ports.map(({ up, down }) => Math.min(up.due, down.due)))
  if (due === Infinity) return undefined
  return BigInt(Math.max(0, Math.ceil((due - performance.now()) * 1e6)))
}

/** IPv4 alone is routed. */
function destination({ view, length }: Frame): Port | undefined {
  if (length < IPV4_HEADER || view.getUint8(0) >> 4 !== 4) return undefined
  return portOf.get(view.getUint32(IPV4_DESTINATION))
}

function newFrame(): Frame {
  const bytes = new Uint8Array(MTU_MAX)
  return { bytes, view: new DataView(bytes.buffer), length: 0 }
}

/** @returns false at the end of stdin */
function serveRequests(): boolean {
  const chunk = Buffer.alloc(65_536)
  const bytes = readSync(STDIN, chunk)
  requests += chunk.toString('utf8', 0, bytes)
  const lines = requests.split('\n')
  requests = lines.pop() ?? ''
  for (const line of lines) {
    const { shapes } = JSON.parse(line) as SwitchRequest
    for (const [n, shape] of (shapes ?? []).entries()) {
      const port = ports[n]
      if (!port) continue
      port.up.shape = shape.up
      port.down.shape = shape.down
    }
    answer()
  }
  return bytes > 0
}

function answer(): void {
  const { user, system } = process.cpuUsage()
  const told: SwitchAnswer = {
    cpuMs: (user + system) / 1_000,
    unroutable,
    hosts: ports.map(({ up, down }): { up: LinkCounters; down: LinkCounters } => ({
      up: up.counters,
      down: down.counters
    }))
  }
  writeSync(STDOUT, `${JSON.stringify(told)}\n`)
}

function addressNumber(address: string): number {
  return Buffer.from(address.split('.').map(Number)).readUInt32BE()
}
