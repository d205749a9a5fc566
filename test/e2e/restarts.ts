import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { monotonicMs } from '../../src/core/monotonic-clock.ts'
import type { Shared } from './results.ts'
import type { Machine, Sandbox } from './sandbox.ts'

const TOUCHER = fileURLToPath(new URL('./toucher-main.js', import.meta.url))
/** How an image is used. */
export const WAYS = ['read', 'map', 'walk'] as const
const FILE_BYTES = 4 * 1024 * 1024
const BEFORE_MS = 400
const AFTER_MS = 1_500
const POLL_MS = 5

export type Way = (typeof WAYS)[number]

/** What a user of an image tells: a use that took long, one that failed, or how many there were. */
export interface Touched {
  readonly from?: number
  readonly to?: number
  readonly failed?: string
  readonly uses?: number
}

/** What a kill of a daemon did to one who uses the image. */
export interface Stall {
  readonly way: Way
  /** From the kill until the daemon served again. */
  readonly restartMs: number
  /** How long, after that, the longest use went on that had begun before. */
  readonly beyondMs: number
  readonly uses: number
  readonly failures: readonly string[]
}

/** A source with something new to read for each of so many rounds; what is read of it does not compress. */
export function sourceOfRounds(directory: string, rounds: number): string {
  for (let round = 0; round < rounds; round++) {
    mkdirSync(join(directory, nameOf(round)), { recursive: true })
    for (const way of ['read', 'map']) {
      writeFileSync(join(directory, nameOf(round), way), randomBytes(FILE_BYTES))
    }
  }
  return directory
}

export interface RestartsOptions {
  readonly sandbox: Sandbox
  readonly publisher: Machine
  readonly reader: Machine
  readonly shared: Shared
  readonly source: string
  readonly rounds: number
  readonly mode: 'erofs' | 'fuse'
  /** Whose daemon is killed. */
  readonly whose: 'reader' | 'publisher'
}

/** Kills a daemon in each round, while a mounted image is used in all ways at once. */
export async function* restarts(options: RestartsOptions): AsyncGenerator<Stall[]> {
  const { sandbox, publisher, reader, shared, source, rounds, mode, whose } = options
  const directory = join(sandbox.directory, `${reader.home.split('/').at(-1)}-mount`)
  mkdirSync(directory)
  await reader.ok('mount', shared.link, directory, '--lazy-only', '--mount', mode)
  const users = WAYS.map((way) => new User(way, directory, source))
  try {
    for (let round = 0; round < rounds; round++) {
      const killed = whose === 'reader' ? reader : publisher
      const { pid } = await killed.json<{ pid: number }>('daemon', 'status')
      for (const user of users) user.begin(nameOf(round))
      await sleep(BEFORE_MS)
      process.kill(pid, 'SIGKILL')
      const killedMs = monotonicMs()
      // Who reads starts the daemon again; a publisher's is started by whoever looks after it.
      const starting = whose === 'publisher' ? publisher.ok('daemon', 'start') : undefined
      // What was killed is still there for a moment.
      for (const wanted of [false, true]) {
        while ((await answers(socketOf(sandbox, killed))) !== wanted) await sleep(POLL_MS)
      }
      const servesMs = monotonicMs()
      await sleep(AFTER_MS)
      yield await Promise.all(users.map((user) => user.end(killedMs, servesMs)))
      await starting
    }
  } finally {
    for (const user of users) await user[Symbol.asyncDispose]()
    await reader.ok('umount', directory)
  }
}

function nameOf(round: number): string {
  return `round-${round}`
}

function socketOf({ directory }: Sandbox, { home }: Machine): string {
  const id = createHash('sha256').update(realpathSync(home)).digest('hex').slice(0, 12)
  return join(directory, 'run', id, 'daemon.sock')
}

/** Whether a daemon listens there; one that was killed leaves its socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** A process that uses the image in one way. */
class User implements AsyncDisposable {
  readonly #way: Way
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #closed: Promise<unknown>
  readonly #said: Touched[] = []
  #tell: () => void = () => {}

  constructor(way: Way, mount: string, source: string) {
    this.#way = way
    this.#process = spawn(process.execPath, [TOUCHER, way, mount, source], {
      stdio: ['pipe', 'pipe', 'inherit']
    })
    this.#closed = new Promise((resolve) => this.#process.once('close', resolve))
    createInterface({ input: this.#process.stdout }).on('line', (line) => {
      this.#said.push(JSON.parse(line) as Touched)
      this.#tell()
    })
  }

  begin(directory: string): void {
    this.#said.length = 0
    this.#process.stdin.write(`${directory}\n`)
  }

  /** Returns when it has done what it was at. */
  async end(killedMs: number, servesMs: number): Promise<Stall> {
    this.#process.stdin.write('\n')
    const isEnded = (): boolean => this.#said.some(({ uses }) => uses !== undefined)
    while (!isEnded() && this.#process.exitCode === null && this.#process.signalCode === null) {
      await Promise.race([new Promise<void>((resolve) => (this.#tell = resolve)), this.#closed])
    }
    const beyond = this.#said.flatMap(({ from = Infinity, to = 0 }) =>
      from < servesMs && to > servesMs ? [to - servesMs] : []
    )
    const ended = this.#process.signalCode ?? this.#process.exitCode
    return {
      way: this.#way,
      restartMs: servesMs - killedMs,
      beyondMs: Math.max(0, ...beyond),
      uses: this.#said.at(-1)?.uses ?? 0,
      failures: [
        ...this.#said.flatMap(({ failed }) => failed ?? []),
        ...(ended === null ? [] : [`it ended: ${ended}`])
      ]
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end()
    this.#process.kill('SIGTERM')
    await this.#closed
  }
}
