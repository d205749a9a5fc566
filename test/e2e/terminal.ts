import { spawn, type ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { quoteForShell } from '../../src/core/host/shell-quote.ts'
import type { Machine, Sandbox } from './sandbox.ts'

export const ROWS = 33
export const COLUMNS = 111
export const CTRL_C = '\u0003'
const POLL_MS = 30
/** Only ends what hangs, and tells what was there to see. */
const SHOWN_TIMEOUT_MS = 30_000

/** A command on a real terminal, which script(1) makes, with somebody who types. */
export class Terminal {
  readonly #child: ChildProcess
  readonly exited: Promise<number | null>
  /** All that was shown since {@link until} last found something. */
  #shown = ''
  all = ''

  /** @param after shell text that runs on the terminal when the command has ended, whose status is `$?` */
  constructor(sandbox: Sandbox, machine: Machine, args: readonly string[], after?: string) {
    const [program, argv] = machine.argv(...args)
    const command = [program, ...argv].map(quoteForShell).join(' ')
    const inTerminal = `tty; stty rows ${ROWS} cols ${COLUMNS}; ${after === undefined ? 'exec ' : ''}${command}`
    this.#child = spawn(
      'script',
      ['-qec', `${inTerminal}${after === undefined ? '' : `; ${after}`}`, '/dev/null'],
      {
        env: {
          ...process.env,
          ...sandbox.sandboxEnvironment,
          DAT_CONTAINER_HOME: machine.home,
          TERM: 'xterm-256color',
          SHELL: '/bin/sh'
        }
      }
    )
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (data: Buffer) => {
        this.#shown += data.toString()
        this.all += data.toString()
      })
    }
    this.exited = new Promise((resolve) => this.#child.once('close', resolve))
  }

  /** Waits until `pattern` is shown. @returns the match */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    const deadline = performance.now() + SHOWN_TIMEOUT_MS
    let ended = false
    void this.exited.then(() => (ended = true))
    for (;;) {
      const last = ended
      const match = pattern.exec(this.#shown)
      if (match !== null) {
        this.#shown = this.#shown.slice(match.index + match[0].length)
        return match
      }
      if (performance.now() > deadline)
        throw new Error(`never ${pattern}: ${JSON.stringify(this.all)}`)
      if (last) throw new Error(`ended without ${pattern}: ${JSON.stringify(this.all)}`)
      await sleep(POLL_MS)
    }
  }

  type(text: string): void {
    this.#child.stdin?.write(text)
  }

  line(text: string): void {
    this.type(`${text}\r`)
  }
}
