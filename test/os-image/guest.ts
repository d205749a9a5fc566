import { existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { FIXED_ADDRESSES } from '../../src/machine/state/command-line.ts'
import { unpackInitrd } from '../../src/machine/os-image/unpacked-initrd.ts'
import { freePort } from '../../src/machine/qemu/free-port.ts'
import { SOFTWARE_CPU } from '../../src/machine/qemu/qemu-plan.ts'
import { LARGE_PAGES } from '../../src/machine/qemu/qemu-process.ts'

/** Folder of HyperOS for x86-64. */
export const IMAGE = process.env['DAT_CONTAINER_OS_IMAGE'] ?? join(process.cwd(), 'os-image/dist')
/** Without hardware's help, on a busy machine. It only ends what hangs. */
const START_TIMEOUT_MS = 420_000
const STOP_TIMEOUT_MS = 120_000
const POLL_MS = 100
const GREETING_TIMEOUT_MS = 10_000
/** systemd says so on the console when the server listens, the name in bold. */
// eslint-disable-next-line no-control-regex
const SSH_LISTENS = /Started (\u001b\[[\d;]*m)?ssh\.service/

/**
 * Hardware of the guests here, in software. A second emulated processor costs a sixth more of the real ones'
 * time, as each begins without what the other has found in QEMU's cache of code.
 */
export const HARDWARE: readonly string[] = [
  ...['-M', 'q35', '-accel', 'tcg', '-cpu', SOFTWARE_CPU, '-m', '512', '-smp', '1']
]

/** Why no guest can be started here, or undefined. */
export async function cannotStart(): Promise<string | undefined> {
  if (!existsSync(join(IMAGE, 'manifest.json'))) return `${IMAGE} is absent: npm run os-image`
  const { failed } = await execa('qemu-system-x86_64', ['--version'], { reject: false })
  return failed ? 'qemu-system-x86_64 is not installed' : undefined
}

/** What QEMU starts, and on what. */
export interface GuestMachine {
  readonly program: string
  readonly argv: readonly string[]
}

/**
 * HyperOS for x86-64, its kernel and initrd given to QEMU as `machine start` does it in software.
 *
 * @param directory for the unpacked initrd
 */
export async function kernelMachine(directory: string, append: string): Promise<GuestMachine> {
  const packed = join(IMAGE, 'initrd')
  const unpacked = join(directory, 'initrd')
  const isUnpacked = existsSync(unpacked) || (await unpackInitrd(packed, unpacked))
  return {
    program: 'qemu-system-x86_64',
    argv: [
      ...HARDWARE,
      ...['-kernel', join(IMAGE, 'vmlinuz'), '-initrd', isUnpacked ? unpacked : packed],
      ...['-append', `console=ttyS0 panic=5 ${FIXED_ADDRESSES} ${append}`]
    ]
  }
}

export interface GuestOptions {
  readonly directory: string
  /** The private key that lets in by ssh; the public one has `.pub` behind its name. */
  readonly keyFile: string
  /** The kernel's command line, for {@link kernelMachine}. */
  readonly append?: string
  /** Instead of {@link kernelMachine}. */
  readonly machine?: GuestMachine
  readonly disk?: string
  readonly qemu?: readonly string[]
}

/** HyperOS in QEMU, without hardware's help. Disposing ends it. */
export class Guest implements AsyncDisposable {
  readonly #options: GuestOptions
  readonly #port: number
  readonly #qemu: ReturnType<typeof startQemu>

  private constructor(options: GuestOptions, machine: GuestMachine, port: number) {
    this.#options = options
    this.#port = port
    this.#qemu = startQemu(machine.program, [...machine.argv, ...this.#argv()])
  }

  /** Waits until ssh lets in. */
  static async start(options: GuestOptions): Promise<Guest> {
    const { directory, append = '' } = options
    const machine = options.machine ?? (await kernelMachine(directory, append))
    const guest = new Guest(options, machine, await freePort())
    try {
      await guest.#waitForSsh()
      return guest
    } catch (error) {
      await guest[Symbol.asyncDispose]()
      throw error
    }
  }

  /** QEMU's process id. */
  get pid(): number {
    return this.#qemu.pid ?? 0
  }

  async run(command: string): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    const { exitCode, stdout, stderr } = await this.ssh(['-o', 'BatchMode=yes'], command)
    return { exitCode: exitCode ?? -1, stdout, stderr }
  }

  async ok(command: string): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(command)
    if (exitCode !== 0) throw new Error(`${command} ended with ${exitCode}: ${stdout} ${stderr}`)
    return stdout
  }

  ssh(options: readonly string[], command: string) {
    const known = ['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null']
    const key = ['-i', this.#options.keyFile, '-o', 'IdentitiesOnly=yes', '-o', 'LogLevel=ERROR']
    return execa(
      'ssh',
      [
        ...known,
        ...key,
        '-o',
        'ConnectTimeout=10',
        ...options,
        '-p',
        String(this.#port),
        'root@127.0.0.1',
        command
      ],
      { reject: false, stdin: 'ignore' }
    )
  }

  /** Presses the power button, and waits until the machine is off. */
  async powerOff(): Promise<void> {
    const socket = connect(this.#monitor)
    socket.resume()
    socket.end('{"execute":"qmp_capabilities"}{"execute":"system_powerdown"}')
    const isOff = await Promise.race([
      this.#qemu.then(() => true),
      sleep(STOP_TIMEOUT_MS, false, { ref: false })
    ])
    if (!isOff) throw new Error(`the guest is still on: ${this.console()}`)
  }

  #hasSaid(words: RegExp): boolean {
    return existsSync(this.#serial) && words.test(readFileSync(this.#serial, 'utf8'))
  }

  /** The end of what the guest said. */
  console(): string {
    return existsSync(this.#serial) ? readFileSync(this.#serial, 'utf8').slice(-2000) : ''
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#qemu.kill('SIGKILL')
    await this.#qemu
  }

  get #serial(): string {
    return join(this.#options.directory, `serial-${this.#port}`)
  }

  get #monitor(): string {
    return join(this.#options.directory, `qmp-${this.#port}`)
  }

  #argv(): string[] {
    const { disk, qemu = [] } = this.#options
    const network = `user,id=net,hostfwd=tcp:127.0.0.1:${this.#port}-:22`
    return [
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
      ...['-serial', `file:${this.#serial}`, '-qmp', `unix:${this.#monitor},server=on,wait=off`],
      ...['-netdev', network, '-device', 'virtio-net-pci,netdev=net', '-device', 'virtio-rng-pci'],
      ...(disk === undefined
        ? []
        : [
            ...['-drive', `if=none,id=data,format=raw,file=${disk}`],
            ...['-device', 'virtio-blk-pci,drive=data,serial=data']
          ]),
      ...qemu
    ]
  }

  async #waitForSsh(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS
    // QEMU takes connections long before the guest does. Those that were given up reach the server all
    // the same, and an emulated guest takes half a second of a processor to see each of them off.
    // Where its network is not up yet, ssh would wait on a connection for long.
    while (
      !this.#hasSaid(SSH_LISTENS) ||
      !(await greets(this.#port)) ||
      (await this.run('true')).exitCode !== 0
    ) {
      if (this.#qemu.exitCode !== null) {
        throw new Error(`QEMU ended: ${(await this.#qemu).stderr}`)
      }
      if (Date.now() > deadline) throw new Error(`no ssh in time: ${this.console()}`)
      await sleep(POLL_MS)
    }
  }
}

/** Whether anybody on the other side of a forwarded port says anything. */
async function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (heard: boolean): void => {
      socket.destroy()
      resolve(heard)
    }
    socket.setTimeout(GREETING_TIMEOUT_MS, () => end(false))
    socket.once('data', () => end(true))
    socket.once('error', () => end(false))
    socket.once('close', () => end(false))
  })
}

function startQemu(program: string, argv: readonly string[]) {
  return execa(program, argv, { reject: false, env: LARGE_PAGES })
}
