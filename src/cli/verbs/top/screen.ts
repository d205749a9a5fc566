import type { Room } from './view.ts'

const DEFAULT_COLUMNS = 80
const DEFAULT_ROWS = 24
/** A second screen of the terminal, without a cursor; and back. */
const ENTER = '\u001b[?1049h\u001b[?25l'
const LEAVE = '\u001b[?25h\u001b[?1049l'
const HOME = '\u001b[H'
const CLEAR_LINE = '\u001b[K'
const CLEAR_REST = '\u001b[J'
const CTRL_Z = '\u001a'
/** The last two are Ctrl-C and Ctrl-D. */
const ENDS = ['q', 'Q', '\u0003', '\u0004']
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** The whole terminal, until it is disposed of: then it is as it was before. */
export class Screen implements Disposable {
  readonly #end: () => void
  readonly #onResize: () => void
  #lines: (room: Room) => readonly string[] = () => []

  /** @param end is called when the user has enough */
  constructor(end: () => void) {
    this.#end = end
    this.#onResize = () => this.#draw()
    const { stdin, stdout } = process
    stdin.on('data', this.#onKeys)
    stdout.on('resize', this.#onResize)
    for (const signal of SIGNALS) process.on(signal, end)
    this.#enter()
  }

  /** @param lines are asked for again where the terminal's size changes; nothing in them may drive the terminal */
  show(lines: (room: Room) => readonly string[]): void {
    this.#lines = lines
    this.#draw()
  }

  [Symbol.dispose](): void {
    const { stdin, stdout } = process
    stdin.off('data', this.#onKeys)
    stdout.off('resize', this.#onResize)
    for (const signal of SIGNALS) process.off(signal, this.#end)
    this.#leave()
    stdin.pause()
  }

  readonly #onKeys = (keys: Buffer): void => {
    const text = keys.toString('latin1')
    if (ENDS.some((key) => text.includes(key))) this.#end()
    else if (text.includes(CTRL_Z)) {
      this.#leave()
      // Goes on here when the shell says so.
      process.kill(process.pid, 'SIGSTOP')
      this.#enter()
      this.#draw()
    }
  }

  #enter(): void {
    if (process.stdin.isTTY) process.stdin.setRawMode(true)
    process.stdout.write(ENTER)
  }

  #leave(): void {
    process.stdout.write(LEAVE)
    if (process.stdin.isTTY) process.stdin.setRawMode(false)
  }

  #draw(): void {
    // A terminal that does not know its size says 0.
    const columns = process.stdout.columns || DEFAULT_COLUMNS
    const rows = process.stdout.rows || DEFAULT_ROWS
    const lines = this.#lines({ columns, rows })
    const text = lines.map((line) => line + CLEAR_LINE).join('\n')
    process.stdout.write(HOME + text + CLEAR_REST)
  }
}
