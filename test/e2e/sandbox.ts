import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa, type Options, type Result } from 'execa'
import createTestnet, { type Testnet } from 'hyperdht/testnet.js'
import { rememberHomes } from '../boot/leftovers.ts'

/** The command as it is installed. */
export const MAIN = fileURLToPath(new URL('../../../dist/main.js', import.meta.url))

/** What a command says while it waits, which a slow machine makes it do. */
const WAITING =
  /^(no peer with this image answers|looking for peers|a read waits for|no progress|reads of the image:)/

/** Lines of what a command said on stderr, without those that only say that it waits. */
export function messagesIn(stderr: string): string[] {
  return stderr.split('\n').filter((line) => line !== '' && !WAITING.test(line))
}

/** A Node.js, and the script of the command. */
type Program = readonly [node: string, main: string]

export type Ran = Result<{ encoding: 'utf8'; reject: false }>

/** A machine as a user has it: the installed command, with a home of its own. */
export class Machine {
  readonly home: string
  readonly #environment: Record<string, string>
  readonly #prefix: readonly string[]
  readonly #program: Program

  /**
   * @param prefix words before the command line, of a program that runs it
   * @param program Node.js and the command
   */
  constructor(
    home: string,
    environment: Record<string, string>,
    prefix: readonly string[] = [],
    program: Program = [process.execPath, MAIN]
  ) {
    this.home = home
    this.#program = program
    // Machines of tests that know nothing of each other would find one another.
    this.#environment = { DAT_CONTAINER_LAN: 'no', ...environment, DAT_CONTAINER_HOME: home }
    this.#prefix = prefix
  }

  /** Program and arguments that run `dat-container` here. */
  argv(...args: string[]): [string, string[]] {
    const [program, ...rest] = [...this.#prefix, ...this.#program, ...args] as [string, ...string[]]
    return [program, rest]
  }

  /** Starts a command without waiting for it. */
  start(args: string[], options: Options = {}) {
    const [program, argv] = this.argv(...args)
    return execa(program, argv, {
      env: this.#environment,
      reject: false,
      ...('input' in options ? {} : { stdin: 'ignore' as const }),
      ...options
    })
  }

  async run(...args: string[]): Promise<Ran> {
    return (await this.start(args)) as unknown as Ran
  }

  /** Runs a command that must succeed; returns its stdout. */
  async ok(...args: string[]): Promise<string> {
    const ran = await this.run(...args)
    if (ran.exitCode !== 0) {
      throw new Error(`${args.join(' ')} ended with ${ran.exitCode}: ${ran.stderr}`)
    }
    return ran.stdout
  }

  /** {@link ok} of a command whose stdout is no text. */
  async bytes(...args: string[]): Promise<Buffer> {
    const { exitCode, stdout, stderr } = await this.start(args, { encoding: 'buffer' })
    if (exitCode !== 0)
      throw new Error(`${args.join(' ')} ended with ${exitCode}: ${String(stderr)}`)
    return Buffer.from(stdout as unknown as Uint8Array)
  }

  /** Ends everything that this machine runs, however a test left it. */
  async shutDown(): Promise<void> {
    // Many had nothing of the kind, and each command is a start of Node.js.
    if (this.#hasContainersOrMounts()) {
      const containers = await this.json<{ name: string }[]>('ps', '--all')
      for (const { name } of containers) await this.run('rm', '--force', name)
    }
    await this.run('daemon', 'stop')
  }

  /** Whether there are files of a container here, or where this machine runs, of a container or a mount. */
  #hasContainersOrMounts(): boolean {
    const { DAT_CONTAINER_RUNTIME_DIR: runtime } = this.#environment
    if (runtime === undefined) return true
    const running = namesIn(runtime).flatMap((id) => [
      ...namesIn(join(runtime, id, 'containers')),
      ...namesIn(join(runtime, id, 'mounts'))
    ])
    return [...namesIn(join(this.home, 'containers')), ...running].length > 0
  }

  /** Like {@link ok} with `--json`, parsed. */
  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.ok('--json', ...args)) as T
  }
}

function namesIn(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : []
}

/** Tests that boot take longer than the runner’s usual limit; it only ends what hangs. */
export const LONG = { timeout: 600_000 }

const UNMOUNT_WAIT_MS = 15_000

/** Machines on one private DHT, all of it on loopback. Disposing stops every daemon. */
export class Sandbox implements AsyncDisposable {
  readonly directory: string
  readonly bootstrap: string
  readonly #testnet: Testnet
  readonly #machines: Machine[] = []

  readonly #program: Program | undefined

  private constructor(directory: string, testnet: Testnet, program: Program | undefined) {
    this.directory = directory
    this.#program = program
    this.#testnet = testnet
    this.bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`).join(',')
  }

  /** @param options.program what its machines run. @default the command, by this process's Node.js */
  static async open({ program }: { readonly program?: Program } = {}): Promise<Sandbox> {
    return new Sandbox(mkdtempSync(join(tmpdir(), 'dat-e2e-')), await createTestnet(3), program)
  }

  get sandboxEnvironment(): Record<string, string> {
    return {
      DAT_CONTAINER_BOOTSTRAP: this.bootstrap,
      DAT_CONTAINER_RUNTIME_DIR: join(this.directory, 'run'),
      // What cannot run here is to say so.
      DAT_CONTAINER_VM: 'never'
    }
  }

  async machine(name: string): Promise<Machine> {
    const home = join(this.directory, name)
    await mkdir(home, { recursive: true, mode: 0o700 })
    const machine = new Machine(home, this.sandboxEnvironment, [], this.#program)
    this.#machines.push(machine)
    return machine
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const machine of this.#machines) await machine.shutDown()
    await this.#testnet.destroy()
    await this.#unmounted()
    rememberHomes()
    await rm(this.directory, { recursive: true, force: true })
  }
  /** A mounter lingers a moment after its last lease. Nothing is removed below a live mount. */
  async #unmounted(): Promise<void> {
    const deadline = Date.now() + UNMOUNT_WAIT_MS
    while (readFileSync('/proc/self/mountinfo', 'utf8').includes(this.directory)) {
      if (Date.now() > deadline) throw new Error(`something is still mounted in ${this.directory}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
