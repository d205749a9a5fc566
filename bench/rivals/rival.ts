import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { execa } from 'execa'
import type { StarHost } from '../wan/star.ts'

/** Another way to come to the same root filesystem on another host. */
export interface Rival {
  readonly name: string
  /** Programs it is made of, and the Debian package of each. */
  readonly programs: Readonly<Record<string, string>>
  /**
   * Has the publisher serve a tree. What that needs made of the tree is kept beside it in the cache.
   *
   * @param tree a root filesystem in the cache
   * @param directory empty, for what is not kept
   */
  serve(tree: string, publisher: StarHost, directory: string): Promise<Served>
}

/** A tree that is served. Disposing ends that. */
export interface Served extends AsyncDisposable {
  /** Brings the tree to a reader who has none of it: this is what is measured. */
  provide(reader: StarHost, directory: string): Promise<Provided>
}

/** A tree on the reader. Disposing takes away mounts and processes, not files. */
export interface Provided extends AsyncDisposable {
  readonly root: string
}

const ANSWER_TIMEOUT_S = 20
/** casync for one does not end while it waits for a chunk. */
const END_TIMEOUT_MS = 3_000

/** @returns what is missing for a rival to run, as a sentence; undefined when nothing is */
export async function missingFor({
  name,
  programs
}: Pick<Rival, 'name' | 'programs'>): Promise<string | undefined> {
  const packages: string[] = []
  for (const [program, debianPackage] of Object.entries(programs)) {
    const { exitCode } = await execa('which', [program], { reject: false })
    if (exitCode !== 0) packages.push(debianPackage)
  }
  if (packages.length === 0) return undefined
  return `${name} is left out; it needs: apt-get install ${packages.join(' ')}`
}

/** Runs a command on a host to its end. */
export async function on(host: StarHost, ...command: string[]): Promise<void> {
  const [program = '', ...prefix] = host.prefix
  await execa(program, [...prefix, ...command], { stdin: 'ignore' })
}

/** Starts a server on a host; returns once its port answers. Disposing ends it. */
export async function server(
  host: StarHost,
  port: number,
  ...command: string[]
): Promise<AsyncDisposable> {
  const running = background(host, ...command)
  try {
    const asks = `until (: < /dev/tcp/${host.address}/${port}) 2> /dev/null; do sleep 0.05; done`
    await on(host, 'timeout', String(ANSWER_TIMEOUT_S), 'bash', '-c', asks)
    if (running.ended) throw new Error(`${command[0]} does not serve port ${port}`)
    return running
  } catch (error) {
    await running[Symbol.asyncDispose]()
    throw error
  }
}

/** A command that runs on a host until it is disposed of. */
export interface Background extends AsyncDisposable {
  /** Whether it ended by itself. */
  readonly ended: boolean
}

/** Starts a command on a host. */
export function background(host: StarHost, ...command: string[]): Background {
  const [program = '', ...prefix] = host.prefix
  const child = spawn(program, [...prefix, ...command], { stdio: ['ignore', 'ignore', 'inherit'] })
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null
  return {
    get ended() {
      return hasEnded()
    },
    async [Symbol.asyncDispose]() {
      if (hasEnded()) return
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      const kill = setTimeout(() => child.kill('SIGKILL'), END_TIMEOUT_MS)
      await ended
      clearTimeout(kill)
    }
  }
}
