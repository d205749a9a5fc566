import type { ChildProcess, StdioOptions } from 'node:child_process'
import { isatty } from 'node:tty'
import type { ConsoleRequest } from './console-keys.ts'
import { openCommandStreams, type StreamOwner, type StreamTaker } from './command-streams.ts'
import { typeInto } from './own-terminal.ts'

/**
 * `interactive`: a terminal on both ends. `read-only`: output alone. `pipe`: the three standard
 * streams as they are, byte for byte.
 */
export type ConsoleMode = 'interactive' | 'read-only' | 'pipe'

/** How a container is joined to the streams of this process, or to a log. */
export interface ConsoleStdio {
  readonly console: ConsoleMode
  readonly stdio: StdioOptions
  /** To be called once systemd-nspawn has been started. */
  readonly started: (child: ChildProcess) => void
  /** Passes on what the container has written until it ended, and lets go. May be called again. */
  readonly finish: () => Promise<void>
}

/** Events of a user who types. */
export interface Typing {
  /** Before what is typed goes to the container. */
  readonly onTyping: () => void
  readonly onRequest: (request: ConsoleRequest) => void
}

/**
 * Makes the console of a booted container that has output only. The container writes to a terminal that
 * systemd-nspawn provides and copies to the streams of this process, so the container never has these streams
 * themselves.
 */
export function bootStdio(): ConsoleStdio {
  return {
    console: 'read-only',
    stdio: ['ignore', 'inherit', 'inherit'],
    started: () => {},
    finish: async () => {}
  }
}

/**
 * Makes the streams of {@link bootStdio}, but writes the output to a log. systemd-nspawn, which runs as root, gets
 * a pipe instead of the log file.
 */
export function bootLogStdio(log: StreamTaker): ConsoleStdio {
  return { ...pipes(['ignore', log, log], { uid: 0, gid: 0 }), console: 'read-only' }
}

/**
 * Makes the console of a booted container for a user who types on the terminal of this process. The container gets
 * a terminal of systemd-nspawn. This process copies the input, so that Ctrl-C stops the container as it does
 * without input.
 */
export function typedStdio({ onTyping, onRequest }: Typing): ConsoleStdio {
  let [stopTyping, stopResizing] = [(): void => {}, (): void => {}]
  return {
    console: 'interactive',
    stdio: ['pipe', 'inherit', 'inherit'],
    started: (child) => {
      onTyping()
      stopTyping = typeInto(child, onRequest)
      stopResizing = forwardResize(child)
    },
    finish: async () => {
      stopTyping()
      stopResizing()
      stopTyping = () => {}
    }
  }
}

/** The output of one command, both streams in the order in which it writes, into a log. No input. */
export function logStdio(log: StreamTaker, owner: StreamOwner): ConsoleStdio {
  return pipes(['ignore', log, log], owner)
}

/** The streams of this process for one command: a terminal when there is one at both ends, else the three streams. */
export function commandStdio(owner: StreamOwner): ConsoleStdio {
  if (!isatty(0) || !isatty(1)) return pipes(['inherit', 'inherit', 'inherit'], owner)
  let stopResizing = (): void => {}
  return {
    console: 'interactive',
    stdio: 'inherit',
    started: (child) => void (stopResizing = forwardResize(child)),
    finish: async () => stopResizing()
  }
}

function pipes(...streams: Parameters<typeof openCommandStreams>): ConsoleStdio {
  const { descriptors, started, finish } = openCommandStreams(...streams)
  return { console: 'pipe', stdio: [...descriptors], started, finish }
}

/** nspawn has a session of its own, so the kernel does not tell it that the window has changed. */
function forwardResize(child: ChildProcess): () => void {
  const resize = (): void => void child.kill('SIGWINCH')
  process.on('SIGWINCH', resize)
  return () => void process.off('SIGWINCH', resize)
}
