import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { findProgram } from '../../src/machine/qemu/find-qemu.ts'
import { SOFTWARE_CPU } from '../../src/machine/qemu/qemu-plan.ts'
import { LARGE_PAGES } from '../../src/machine/qemu/qemu-process.ts'
import { planDnsmasq } from '../../src/machine/netboot/netboot-dhcp.ts'
import { NETBOOT_CHECK } from '../../src/machine/netboot/netboot-script.ts'
import { cannotStart, IMAGE } from './guest.ts'

const SERVER = { name: 'lan0', address: '10.91.40.1', netmask: '255.255.255.0' }
/** The other DHCP server's place in the machines' network. */
const OTHER = { name: 'br0', address: '10.91.40.2', netmask: '255.255.255.0' }
/** In software, on a busy machine. It only ends what hangs. */
const WAIT_MS = 420_000

/** Why nothing can start from a network here, or undefined. */
export async function cannotNetboot(...files: string[]): Promise<string | undefined> {
  const reason = await cannotStart()
  if (reason !== undefined) return reason
  if (process.getuid?.() !== 0) return 'network namespaces take root'
  if (!existsSync(join(IMAGE, NETBOOT_CHECK))) return `${IMAGE} has no ${NETBOOT_CHECK}`
  if (findProgram('linux', 'dnsmasq') === undefined) return 'dnsmasq is not installed'
  const missing = files.find((path) => !existsSync(path))
  return missing === undefined ? undefined : `there is no ${missing}`
}

/**
 * Two network namespaces: one with a bridge that machines are plugged into, and one with a cable to that
 * bridge. Disposing leaves nothing.
 */
export class NetbootLan implements AsyncDisposable {
  /** Before a command line, to run it where machines are served from. */
  readonly server = ['nsenter', `--net=/run/netns/dat-nb-${process.pid}-s`]
  readonly serverInterface = SERVER.name
  readonly serverAddress = SERVER.address
  readonly #machines = ['nsenter', `--net=/run/netns/dat-nb-${process.pid}-m`]

  static async open(): Promise<NetbootLan> {
    const lan = new NetbootLan()
    const [s, m] = ['s', 'm'].map((letter) => `dat-nb-${process.pid}-${letter}`) as [string, string]
    const commands = [
      `netns add ${s}`,
      `netns add ${m}`,
      `-n ${s} link set lo up`,
      `link add ${SERVER.name} netns ${s} type veth peer name cable netns ${m}`,
      `-n ${s} address add ${SERVER.address}/24 dev ${SERVER.name}`,
      `-n ${s} link set ${SERVER.name} up`,
      `-n ${m} link add ${OTHER.name} type bridge forward_delay 0`,
      `-n ${m} address add ${OTHER.address}/24 dev ${OTHER.name}`,
      `-n ${m} link set ${OTHER.name} up`,
      `-n ${m} link set cable master ${OTHER.name} up`,
      `-n ${m} tuntap add dev tap0 mode tap`,
      `-n ${m} link set tap0 master ${OTHER.name} up`
    ]
    try {
      for (const command of commands) await execa('ip', command.split(' '))
      return lan
    } catch (error) {
      await lan[Symbol.asyncDispose]()
      throw error
    }
  }

  /** A DHCP server where machines are served from: names a script to machines whose firmware is iPXE. */
  async dhcp(scriptUrl: string) {
    return dnsmasq(this.server, planFor(SERVER, scriptUrl))
  }

  /** A DHCP server beside the machines, which gives addresses and says nothing of what to start. */
  async otherDhcp() {
    const plan = planFor(OTHER, '')
    const plain = plan.filter((argument) => !argument.startsWith('--dhcp-boot'))
    return dnsmasq(this.#machines, plain)
  }

  /** A machine that starts from the network, its serial port in `serial`. */
  machine(serial: string, ...more: string[]): NetbootMachine {
    const network = 'tap,id=net,ifname=tap0,script=no,downscript=no'
    return new NetbootMachine(
      [
        ...[
          ...this.#machines,
          'qemu-system-x86_64',
          '-M',
          'q35',
          '-accel',
          'tcg',
          '-cpu',
          SOFTWARE_CPU
        ],
        ...['-m', '512', '-smp', '1', '-nodefaults', '-no-user-config', '-display', 'none'],
        ...['-no-reboot', '-serial', `file:${serial}`, '-netdev', network],
        ...(more.includes('-device')
          ? more
          : ['-device', 'virtio-net-pci,netdev=net,bootindex=1', ...more]),
        ...['-device', 'virtio-rng-pci']
      ],
      serial
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const letter of ['s', 'm']) {
      await execa('ip', ['netns', 'delete', `dat-nb-${process.pid}-${letter}`], { reject: false })
    }
  }
}

/** QEMU; disposing ends it. */
export class NetbootMachine implements AsyncDisposable {
  readonly #serial: string
  readonly #qemu: ReturnType<typeof startQemu>

  constructor(command: readonly string[], serial: string) {
    this.#serial = serial
    this.#qemu = startQemu(command)
  }

  /** What the machine has said so far, without what moves a terminal's cursor. */
  said(): string {
    return existsSync(this.#serial) ? readFileSync(this.#serial, 'latin1') : ''
  }

  /** Waits until the machine says something. @throws Error with what it said instead */
  async says(text: string): Promise<void> {
    const deadline = Date.now() + WAIT_MS
    while (!this.said().includes(text)) {
      const end = this.said().slice(-2000)
      if (this.#qemu.exitCode !== null) throw new Error(`it is off, and said: ${end}`)
      if (Date.now() > deadline) throw new Error(`it does not say ${text}, but: ${end}`)
      await sleep(200)
    }
  }

  /** Waits until it has switched itself off. */
  async isOff(): Promise<boolean> {
    return Promise.race([this.#qemu.then(() => true), sleep(WAIT_MS, false, { ref: false })])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#qemu.kill('SIGKILL')
    await this.#qemu
  }
}

/** Waits until `attempt` returns something. */
export async function eventually<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + WAIT_MS
  for (;;) {
    const found = await attempt()
    if (found !== undefined) return found
    if (Date.now() > deadline) throw new Error('it takes too long')
    await sleep(500)
  }
}

/** Starts a program that goes on until it is disposed of, and waits for its first line. */
export async function daemon(command: readonly string[]) {
  const [file = '', ...args] = command
  const running = execa(file, args, { reject: false, all: true, buffer: false, stdin: 'ignore' })
  const lines: string[] = []
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: running.all }).on('line', (line) => {
      lines.push(line)
      resolve()
    })
    void running.then(() => reject(new Error(`${command.join(' ')} ended: ${lines.join('\n')}`)))
  })
  return {
    lines,
    /** Presses Ctrl-C. @returns its exit status */
    async interrupt(): Promise<number | undefined> {
      running.kill('SIGINT')
      return (await running).exitCode
    },
    async [Symbol.asyncDispose](): Promise<void> {
      running.kill('SIGTERM')
      await running
    }
  }
}

function planFor(on: typeof SERVER, scriptUrl: string): string[] {
  const range = { first: '10.91.40.50', last: '10.91.40.99' }
  return planDnsmasq({ interface: on, range, scriptUrl, loaders: {} })
}

async function dnsmasq(prefix: readonly string[], argv: readonly string[]) {
  return daemon([...prefix, 'dnsmasq', '--user=root', ...argv])
}

function startQemu(command: readonly string[]) {
  const [file = '', ...args] = command
  return execa(file, args, { reject: false, env: LARGE_PAGES })
}
