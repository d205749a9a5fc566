import { once } from 'node:events'
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import type { NetworkHost } from '../../scripts/network-pair.ts'
import type { HostShape, SwitchAnswer, SwitchRequest, SwitchSetup } from './switch-protocol.ts'

const SWITCH = fileURLToPath(new URL('./switch-main.js', import.meta.url))
const SUBNET = '10.91.64'
const PREFIX = 'dat-wan'
const DEVICE = 'wan0'
/** The kernel keeps so many packets for the switch to read; the switch's own queue is what limits. */
const DEVICE_QUEUE = 5_000
const NO_METRICS = 'net.ipv4.tcp_no_metrics_save=1'
const CONGESTION = 'net.ipv4.tcp_congestion_control'
const ALLOWED = 'net.ipv4.tcp_allowed_congestion_control'
/** What Debian's kernel, and nearly every other, uses by default. */
const USUAL_CONGESTION = 'cubic'
const LEAST_QUEUE_BYTES = 64_000

/** A host's link, the same both ways. */
export interface Wire {
  readonly bitsPerSecond: number
  /** From the host to the middle of the star: a quarter of the round trip between two such hosts. */
  readonly delayMs: number
  /** Share of packets lost each way, 0 to 1. Default 0. */
  readonly loss?: number
}

/** What a host's device has carried so far, IP headers included. */
export interface DeviceBytes {
  readonly received: number
  readonly sent: number
}

/** What programs of a host have sent and received so far: UDP datagrams, and TCP segments without repeated ones. */
export interface HostMessages {
  readonly udp: number
  readonly tcp: number
}

/** A host of a {@link Star}: a network namespace with one device besides loopback. */
export interface StarHost extends NetworkHost {
  readonly name: string
  /** Read from the kernel at once. */
  deviceBytes(): DeviceBytes
  /** Read from the kernel at once. */
  messages(): HostMessages
}

/**
 * Network namespaces that reach each other over links of given rate, delay and loss, through a
 * process that plays the network between them. Needs root. Disposing leaves nothing.
 */
export class Star implements AsyncDisposable {
  readonly hosts: readonly StarHost[]
  readonly #switch: SwitchProcess
  readonly #residents: readonly ChildProcess[]
  readonly #namespaces: readonly string[]

  private constructor(
    hosts: readonly StarHost[],
    parts: { switch: SwitchProcess; residents: ChildProcess[]; namespaces: string[] }
  ) {
    this.hosts = hosts
    this.#switch = parts.switch
    this.#residents = parts.residents
    this.#namespaces = parts.namespaces
  }

  /**
   * @param wires a host each, by name: at most ten letters or digits
   * @param seed of what is lost: equal traffic loses equal packets
   */
  static async open(wires: Readonly<Record<string, Wire>>, seed = 1): Promise<Star> {
    await sweep()
    const names = Object.keys(wires)
    const plan = names.map((name, n) => ({
      name,
      namespace: `${PREFIX}-${process.pid}-${name}`,
      // Devices are made where this process lives, and only then moved to where names are free.
      device: `wan${process.pid}-${n}`,
      address: `${SUBNET}.${n + 1}`,
      ...shapeOf(wires[name])
    }))
    const namespaces = plan.map(({ namespace }) => namespace)
    const residents: ChildProcess[] = []
    let running: SwitchProcess | undefined
    try {
      running = await SwitchProcess.start({ seed, hosts: plan })
      const hosts: StarHost[] = []
      for (const { name, namespace, device, address } of plan) {
        await ip('netns', 'add', namespace)
        const prefix = ['nsenter', `--net=/run/netns/${namespace}`]
        await ip('link', 'set', device, 'netns', namespace, 'name', DEVICE)
        await ip('-n', namespace, 'link', 'set', 'lo', 'up')
        await ip('-n', namespace, 'address', 'add', `${address}/24`, 'dev', DEVICE)
        // What one connection learnt of the way must not serve the next: every start is the first.
        await execa(prefix[0] ?? '', [...prefix.slice(1), 'sysctl', '-qw', NO_METRICS])
        await useUsualCongestion(prefix)
        await ip('-n', namespace, 'link', 'set', DEVICE, 'txqueuelen', String(DEVICE_QUEUE), 'up')
        // Lives as long as this process at most: its stdin is held from here.
        const resident = spawn(prefix[0] ?? '', [...prefix.slice(1), 'cat'], {
          stdio: ['pipe', 'ignore', 'inherit']
        })
        residents.push(resident)
        await once(resident, 'spawn')
        const pid = resident.pid ?? 0
        hosts.push({
          name,
          address,
          prefix,
          deviceBytes: () => deviceBytes(pid),
          messages: () => messages(pid)
        })
      }
      return new Star(hosts, { switch: running, residents, namespaces })
    } catch (error) {
      await takeDown(running, residents, namespaces)
      throw error
    }
  }

  /** @throws RangeError when no host has that name */
  host(name: string): StarHost {
    const host = this.hosts.find((host) => host.name === name)
    if (!host) throw new RangeError(`no host ${name}`)
    return host
  }

  /** Gives the links of all hosts, in the order of {@link open}, another shape from now on. */
  async reshape(wires: readonly Wire[]): Promise<void> {
    await this.#switch.ask({ shapes: wires.map(shapeOf) })
  }

  /** What the switch has counted since it started: packets, drops, losses, its processor time. */
  async counters(): Promise<SwitchAnswer> {
    return this.#switch.ask({})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await takeDown(this.#switch, this.#residents, this.#namespaces)
  }
}

/** The same link for every host: so many bits a second, and so long a round trip between any two. */
export function evenWire(bitsPerSecond: number, roundTripMs: number, loss = 0): Wire {
  return { bitsPerSecond, delayMs: roundTripMs / 4, loss }
}

/** The switch, asked and answered a line at a time. */
class SwitchProcess implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #lines: AsyncIterator<string>

  private constructor(running: ChildProcess) {
    this.#process = running
    const lines = createInterface({ input: running.stdout as Readable })
    this.#lines = lines[Symbol.asyncIterator]()
  }

  static async start(setup: SwitchSetup): Promise<SwitchProcess> {
    const running = new SwitchProcess(
      spawn(process.execPath, [SWITCH, JSON.stringify(setup)], {
        stdio: ['pipe', 'pipe', 'inherit']
      })
    )
    // Its first line says that the devices are there.
    await running.#answer()
    return running
  }

  async ask(request: SwitchRequest): Promise<SwitchAnswer> {
    this.#process.stdin?.write(`${JSON.stringify(request)}\n`)
    return this.#answer()
  }

  async #answer(): Promise<SwitchAnswer> {
    const { done, value } = await this.#lines.next()
    if (done === true) throw new Error('the switch has ended')
    return JSON.parse(value) as SwitchAnswer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await ended(this.#process)
  }
}

function shapeOf(wire: Wire | undefined): HostShape {
  const { bitsPerSecond = 1e9, delayMs = 0, loss = 0 } = wire ?? {}
  // What fits on the way there and back, as a home router has it or a little more.
  const product = (bitsPerSecond / 8_000) * delayMs * 4
  const shape = {
    bitsPerSecond,
    delayMs,
    loss,
    queueBytes: Math.max(LEAST_QUEUE_BYTES, Math.ceil(product))
  }
  return { up: shape, down: shape }
}

/** What a device counted between two moments. */
export interface CountedBytes {
  readonly receivedBytes: number
  readonly sentBytes: number
}

export function bytesBetween(before: DeviceBytes, after: DeviceBytes): CountedBytes {
  return {
    receivedBytes: after.received - before.received,
    sentBytes: after.sent - before.sent
  }
}

function deviceBytes(resident: number): DeviceBytes {
  const table = readFileSync(`/proc/${resident}/net/dev`, 'utf8')
  const line = table.split('\n').find((line) => line.trim().startsWith(`${DEVICE}:`))
  const fields = (line?.split(':')[1] ?? '').trim().split(/\s+/).map(Number)
  return { received: fields[0] ?? 0, sent: fields[8] ?? 0 }
}

async function takeDown(
  running: SwitchProcess | undefined,
  residents: readonly ChildProcess[],
  namespaces: readonly string[]
): Promise<void> {
  for (const resident of residents) await ended(resident)
  await running?.[Symbol.asyncDispose]()
  for (const namespace of namespaces) await ip('netns', 'delete', namespace).catch(() => {})
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.stdin?.end()
  await exit
}

/** Has a namespace control congestion as most machines do, where this kernel does it in another way by default. */
async function useUsualCongestion([program = '', ...prefix]: readonly string[]): Promise<void> {
  const current = await sysctl(CONGESTION)
  if (current === USUAL_CONGESTION) return
  // A namespace may choose of those alone that the first one allows.
  const allowed = await sysctl(ALLOWED)
  await execa('sysctl', ['-qw', `${ALLOWED}=${allowed} ${USUAL_CONGESTION}`])
  try {
    await execa(program, [...prefix, 'sysctl', '-qw', `${CONGESTION}=${USUAL_CONGESTION}`])
  } finally {
    await execa('sysctl', ['-qw', `${ALLOWED}=${allowed}`])
  }
}

async function sysctl(name: string): Promise<string> {
  return (await execa('sysctl', ['-n', name])).stdout
}

/** Removes what stars of processes left that were killed. */
async function sweep(): Promise<void> {
  if (!existsSync('/run/netns')) return
  for (const name of readdirSync('/run/netns')) {
    const [, pid] = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name) ?? []
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await ip('netns', 'delete', name)
  }
}

async function ip(...args: string[]): Promise<void> {
  await execa('ip', args)
}

/** Source: RFC 4022 and RFC 4113, whose counters the kernel shows by name. */
function messages(pid: number): HostMessages {
  const lines = readFileSync(`/proc/${pid}/net/snmp`, 'utf8').split('\n')
  const count = (protocol: string, ...names: string[]): number => {
    const [head = [], values = []] = lines
      .filter((line) => line.startsWith(`${protocol}:`))
      .map((line) => line.split(' '))
    return names.reduce((sum, name) => sum + Number(values[head.indexOf(name)] ?? 0), 0)
  }
  return {
    udp: count('Udp', 'InDatagrams', 'OutDatagrams'),
    tcp: count('Tcp', 'InSegs', 'OutSegs')
  }
}
