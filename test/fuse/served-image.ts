import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { MountMode } from '../../src/fuse/content/mounted-image.ts'
import type { ChunkState } from './scanned-image.ts'

export interface ServerOptions {
  readonly source: string
  readonly directory: string
  readonly mode: MountMode | 'auto'
  readonly erofsBacking: 'file' | 'loop' | 'auto'
  readonly keptMetadata?: string
}

/**
 * `reads` asks for counts, `forget` sets them to 0, `exit` ends the process without a thought of what is
 * mounted; `serve` lets the content of a mount come that could do without; `preload` has the kernel read
 * all of it; the rest say how the chunk reader behaves.
 */
export type ServerCommand =
  'reads' | 'forget' | 'serve' | 'preload' | ChunkState | 'dispose' | 'exit'

export interface ServerCounts {
  /** Reads that reached the chunk reader. */
  readonly reads: number
  /** Chunks of the image. */
  readonly chunks: number
}

export type ServerReply =
  { readonly rootfs: string; readonly mode: MountMode } | ServerCounts | { readonly error: string }

/** An image of a directory, mounted by a child process. Disposing unmounts and ends the child. */
export class ServedImage implements AsyncDisposable {
  readonly rootfs: string
  readonly mode: MountMode
  readonly directory: string
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, directory: string, rootfs: string, mode: MountMode) {
    this.#child = child
    this.directory = directory
    this.rootfs = rootfs
    this.mode = mode
  }

  static async start(
    source: string,
    mode: MountMode | 'auto',
    erofsBacking: 'file' | 'loop' | 'auto' = 'auto',
    parent = tmpdir(),
    keptMetadata?: string
  ): Promise<ServedImage> {
    const directory = await mkdtemp(join(parent, 'dat-container-mount-'))
    const kept = keptMetadata === undefined ? {} : { keptMetadata }
    const options: ServerOptions = { source, directory, mode, erofsBacking, ...kept }
    const script = fileURLToPath(new URL('./mount-server.js', import.meta.url))
    const child = fork(script, [JSON.stringify(options)])
    const reply = await nextReply(child)
    if (!('rootfs' in reply)) {
      await rm(directory, { recursive: true, force: true })
      throw new Error('error' in reply ? reply.error : 'unexpected reply')
    }
    return new ServedImage(child, directory, reply.rootfs, reply.mode)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async command(command: Exclude<ServerCommand, 'dispose' | 'exit'>): Promise<ServerCounts> {
    const reply = nextReply(this.#child)
    this.#child.send(command)
    const counts = await reply
    if (!('reads' in counts)) throw new Error('unexpected reply')
    return counts
  }

  /** Ends the server the hard way, and leaves what it leaves. */
  async kill(): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }

  /** Has the server call `process.exit()` while it serves. */
  async exit(): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.send('exit')
    await exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, 'exit')
      this.#child.send('dispose')
      await exited
    }
    await rm(this.directory, { recursive: true })
  }
}

async function nextReply(child: ChildProcess): Promise<ServerReply> {
  const done = new AbortController()
  const { signal } = done
  const exited = once(child, 'exit', { signal }).then(([code, why]) => ({
    error: `the server ended: ${String(code)} ${String(why)}`
  }))
  const replied = once(child, 'message', { signal }).then(([message]) => message as ServerReply)
  try {
    return await Promise.race([replied, exited])
  } finally {
    for (const promise of [replied, exited]) promise.catch(() => {})
    done.abort()
  }
}
