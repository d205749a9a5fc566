import { printable } from './output.ts'

/** One line that is drawn again and again. */
export interface StatusLine extends Disposable {
  show(text: string): void
  clear(): void
}

const CLEAR = '\r\u001b[K'
const DEFAULT_COLUMNS = 80

/** A line on stderr where that is a terminal and people read it; nothing elsewhere. */
export function statusLine(json: boolean): StatusLine {
  const isShown = !json && process.stderr.isTTY
  let drawn = false
  const clear = (): void => {
    if (drawn) process.stderr.write(CLEAR)
    drawn = false
  }
  return {
    show(text) {
      if (!isShown) return
      const columns = process.stderr.columns || DEFAULT_COLUMNS
      process.stderr.write(CLEAR + printable(text).slice(0, columns - 1))
      drawn = true
    },
    clear,
    [Symbol.dispose]: clear
  }
}
