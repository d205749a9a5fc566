import { closeSync, fchownSync, fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { checked, kernelCalls } from '../enter/kernel-calls.ts'

/** A standard stream for a command: a copy of this process's stream, nothing, or an open file itself. */
export type CommandStream = 'inherit' | 'ignore' | number

/** Takes what a command writes. */
export interface StreamTaker {
  readonly write: (data: Buffer) => void
}

/** The user and group, as ids of this machine, that may open the streams of a command by /dev/stdin and the like. */
export interface StreamOwner {
  readonly uid: number
  readonly gid: number
}

/** The standard streams of a command in a container. */
export interface CommandStreams {
  /** Its descriptors 0 to 2. */
  readonly descriptors: readonly number[]
  /** To be called once its process has been started. */
  readonly started: () => void
  /** Passes on what the command has written until it ended, and lets go. May be called again. */
  readonly finish: () => Promise<void>
}

const O_CLOEXEC = 0o2_000_000
const F_DUPFD_CLOEXEC = 1030
const F_SETPIPE_SZ = 1031
const PIPE_BYTES = 1024 * 1024
const FIONREAD = 0x541b
const DRAIN_POLL_MS = 2

/**
 * Gives a command pipes of its own, and copies between them and what they stand for: into a terminal of this machine
 * a container could type (TIOCSTI), a device it could make another's, and a file or a pipe it could open once more by
 * /proc/self/fd, to read what others write there or to change what was there before. Where both outputs
 * go to one place, they are one pipe, so that they stay in order.
 */
export function openCommandStreams(
  streams: readonly (CommandStream | StreamTaker)[],
  owner: StreamOwner
): CommandStreams {
  const given = new Set<number>()
  const starts: (() => void)[] = []
  const outputs: Output[] = []
  const ends: (() => void)[] = []
  const descriptors: number[] = []
  for (const [number, stream] of streams.entries()) {
    if (typeof stream === 'number') {
      descriptors.push(stream)
      continue
    }
    const [, output] = descriptors
    if (number === 2 && output !== undefined && isOnePlace(streams[1], stream)) {
      descriptors.push(output)
      continue
    }
    const [readEnd, writeEnd] = openPipe()
    const [theirs, ours] = number === 0 ? [readEnd, writeEnd] : [writeEnd, readEnd]
    fchownSync(theirs, owner.uid, owner.gid)
    given.add(theirs)
    descriptors.push(theirs)
    if (number > 0) starts.push(() => outputs.push(new Output(ours, targetOf(stream, number))))
    else if (stream === 'ignore') starts.push(() => closeSync(ours))
    else starts.push(() => ends.push(copyInput(ours)))
  }
  return {
    descriptors,
    started() {
      for (const descriptor of given) closeSync(descriptor)
      for (const start of starts) start()
    },
    async finish() {
      for (const end of ends.splice(0)) end()
      await Promise.all(outputs.map(async (output) => output.finish()))
    }
  }
}

/** The target of an output: a stream of this process, an open file, or nothing. */
type OutputTarget = NodeJS.WritableStream | StreamTaker['write'] | undefined

function targetOf(
  stream: Exclude<CommandStream, number> | StreamTaker,
  number: number
): OutputTarget {
  if (typeof stream === 'object') return stream.write
  if (stream === 'ignore') return undefined
  return number === 1 ? process.stdout : process.stderr
}

function isOnePlace(output: unknown, error: unknown): boolean {
  if (output !== 'inherit' || error !== 'inherit') return output === error && error !== 'ignore'
  const [one, two] = [1, 2].map((descriptor) => {
    const { dev, ino, rdev } = fstatSync(descriptor)
    return `${dev} ${ino} ${rdev}`
  })
  return one === two
}

function copyInput(descriptor: number): () => void {
  const socket = new Socket({ fd: descriptor, readable: false, writable: true })
  // It need not read all that there is.
  socket.on('error', () => {})
  // A descriptor that cannot be read counts as empty.
  process.stdin.on('error', () => socket.end())
  process.stdin.pipe(socket)
  return () => {
    process.stdin.unpipe(socket)
    process.stdin.pause()
    socket.destroy()
  }
}

/** One of the command's outputs. */
class Output {
  /** A second descriptor of the pipe, because the socket closes its own at the end. */
  #pipe: number | undefined
  readonly #socket: Socket

  constructor(descriptor: number, target: OutputTarget) {
    const { fcntl } = kernelCalls()
    this.#pipe = checked('keep a pipe', fcntl(descriptor, F_DUPFD_CLOEXEC, 'int', 0))
    const socket = new Socket({ fd: descriptor, readable: true, writable: false })
    this.#socket = socket
    if (target === undefined) socket.resume()
    else if (typeof target === 'function') socket.on('data', target)
    else {
      socket.pipe(target, { end: false })
      // Nobody reads us any more: then nobody reads the command.
      target.once('error', () => socket.destroy())
    }
    socket.once('close', () => this.#closePipe())
  }

  /** Processes that the command started may keep the pipe open, so its end is not awaited. */
  async finish(): Promise<void> {
    const wanted = this.#socket.bytesRead + this.#waiting()
    while (!this.#socket.destroyed) {
      const isAllRead = this.#socket.bytesRead >= wanted || this.#waiting() === 0
      if (isAllRead && this.#socket.readableLength === 0) break
      await sleep(DRAIN_POLL_MS)
    }
    this.#socket.unpipe()
    this.#socket.destroy()
    this.#closePipe()
  }

  /** Bytes that nobody has read. */
  #waiting(): number {
    if (this.#pipe === undefined) return 0
    const bytes = Buffer.alloc(4)
    checked('ask a pipe', kernelCalls().ioctl(this.#pipe, FIONREAD, 'uint8_t *', bytes))
    return bytes.readInt32LE()
  }

  #closePipe(): void {
    if (this.#pipe !== undefined) closeSync(this.#pipe)
    this.#pipe = undefined
  }
}

/** Both ends close on exec. */
function openPipe(): [readEnd: number, writeEnd: number] {
  const ends = Buffer.alloc(8)
  const { pipe2, fcntl } = kernelCalls()
  checked('make a pipe', pipe2(ends, O_CLOEXEC))
  const [readEnd, writeEnd] = [ends.readInt32LE(0), ends.readInt32LE(4)]
  // A larger pipe takes fewer turns for much output; the kernel may refuse.
  fcntl(writeEnd, F_SETPIPE_SZ, 'int', PIPE_BYTES)
  return [readEnd, writeEnd]
}
