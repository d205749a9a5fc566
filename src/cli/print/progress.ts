import cliProgress from 'cli-progress'
import prettyBytes from 'pretty-bytes'

export interface ProgressBar extends Disposable {
  /** @param done and `total` in bytes; a total of 0 is unknown */
  update(done: number, total: number, note: string): void
}

/** A bar on stderr where that is a terminal and people read it; nothing elsewhere. */
export function progressBar(verb: string, json: boolean): ProgressBar {
  if (json || !process.stderr.isTTY) return { update() {}, [Symbol.dispose]() {} }
  const bar = new cliProgress.SingleBar({
    format: `${verb} {bar} {percentage}% | {done}/{whole} | {note}`,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    etaBuffer: 50,
    barsize: 30
  })
  bar.start(1, 0, { done: '0 B', whole: '?', note: '' })
  return {
    update(done, total, note) {
      bar.setTotal(Math.max(total, 1))
      bar.update(done, { done: prettyBytes(done), whole: prettyBytes(total), note })
    },
    [Symbol.dispose]() {
      bar.stop()
    }
  }
}
