import { closeSync, fchownSync } from 'node:fs'
import { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { checked, kernelCalls } from './enter/kernel-calls.ts'

/** What a command is to get as one of its standard streams: our own, nothing, or an open file. */
export type CommandStream = 'inherit' | 'ignore' | number

/** The standard streams of a command in a container. */
export interface CommandStreams {
  /** Its descriptors 0 to 2. */
  readonly descriptors: readonly number[]
  /** To be called once its process has been started. */
  started(): void
  /** Passes on what the command has written until it ended, and lets go. */
  finish(): Promise<void>
}

const O_CLOEXEC = 0o2_000_000
const F_DUPFD_CLOEXEC = 1030
const F_SETPIPE_SZ = 1031
const PIPE_BYTES = 1024 * 1024
const FIONREAD = 0x541b
const DRAIN_POLL_MS = 2

/**
 * Gives a command pipes of its own, and copies between them and the streams of this process: into a
 * terminal of this machine a container could type (TIOCSTI), and a file or a device it could make
 * another's.
 *
 * @param owner who may open the pipes by /dev/stdin and the like; ids of this machine
 */
export function openCommandStreams(
  streams: readonly CommandStream[],
  owner: { readonly uid: number; readonly gid: number }
): CommandStreams {
  const given: number[] = []
  const starts: (() => void)[] = []
  const outputs: Output[] = []
  const ends: (() => void)[] = []
  const descriptors = streams.map((stream, number) => {
    if (typeof stream === 'number') return stream
    const [readEnd, writeEnd] = openPipe()
    const theirs = number === 0 ? readEnd : writeEnd
    fchownSync(theirs, owner.uid, owner.gid)
    given.push(theirs)
    if (number === 0) {
      if (stream === 'ignore') closeSync(writeEnd)
      else starts.push(() => ends.push(copyInput(writeEnd)))
    } else {
      starts.push(() => outputs.push(new Output(readEnd, stream === 'ignore' ? 0 : number)))
    }
    return theirs
  })
  return {
    descriptors,
    started() {
      for (const descriptor of given) closeSync(descriptor)
      for (const start of starts) start()
    },
    async finish() {
      for (const end of ends) end()
      for (const output of outputs) await output.finish()
    }
  }
}

function copyInput(descriptor: number): () => void {
  const socket = new Socket({ fd: descriptor, readable: false, writable: true })
  // It need not read all that there is.
  socket.on('error', () => {})
  process.stdin.pipe(socket)
  return () => {
    process.stdin.unpipe(socket)
    process.stdin.pause()
    socket.destroy()
  }
}

/** One of the command's outputs. */
class Output {
  /** The same pipe once more: the socket closes its own when it has come to the end. */
  #pipe: number | undefined
  readonly #socket: Socket

  /** @param target 1 or 2; 0 forgets what comes */
  constructor(descriptor: number, target: number) {
    const { fcntl } = kernelCalls()
    this.#pipe = checked('keep a pipe', fcntl(descriptor, F_DUPFD_CLOEXEC, 'int', 0))
    this.#socket = new Socket({ fd: descriptor, readable: true, writable: false })
    const stream = target === 1 ? process.stdout : process.stderr
    if (target === 0) this.#socket.resume()
    else this.#socket.pipe(stream, { end: false })
    // Nobody reads us any more: then nobody reads the command.
    if (target !== 0) stream.once('error', () => this.#socket.destroy())
    this.#socket.once('close', () => this.#closePipe())
  }

  /** What the command started may still have the pipe open, so its end is nothing to wait for. */
  async finish(): Promise<void> {
    const waiting = Buffer.alloc(4)
    const { ioctl } = kernelCalls()
    while (this.#pipe !== undefined && !this.#socket.destroyed) {
      checked('ask a pipe', ioctl(this.#pipe, FIONREAD, 'uint8_t *', waiting))
      if (waiting.readInt32LE() === 0 && this.#socket.readableLength === 0) break
      await sleep(DRAIN_POLL_MS)
    }
    this.#socket.unpipe()
    this.#socket.destroy()
    this.#closePipe()
  }

  #closePipe(): void {
    if (this.#pipe !== undefined) closeSync(this.#pipe)
    this.#pipe = undefined
  }
}

/** Both ends close on exec. */
export function openPipe(): [readEnd: number, writeEnd: number] {
  const ends = Buffer.alloc(8)
  const { pipe2, fcntl } = kernelCalls()
  checked('make a pipe', pipe2(ends, O_CLOEXEC))
  const [readEnd, writeEnd] = [ends.readInt32LE(0), ends.readInt32LE(4)]
  // Fewer turns for whoever sends much; the kernel may refuse.
  fcntl(writeEnd, F_SETPIPE_SZ, 'int', PIPE_BYTES)
  return [readEnd, writeEnd]
}
