import type { LogPart } from './logs.ts'

/** A line of a console log. */
export interface LogLine {
  /** When its first byte was written; milliseconds since 1970. Undefined where an older release wrote it. */
  readonly timeMs: number | undefined
  /** Without the line's end. */
  readonly text: Buffer
  /** False for the last one of a log that does not end with a newline. */
  readonly isWhole: boolean
}

const NEWLINE = 0x0a

/** Puts the parts of a log together as lines. */
export async function* logLines(parts: AsyncIterable<LogPart>): AsyncGenerator<LogLine> {
  let pending: Buffer[] = []
  let beganMs: number | undefined
  for await (const { data, timeMs } of parts) {
    let start = 0
    for (let end = data.indexOf(NEWLINE); end >= 0; end = data.indexOf(NEWLINE, start)) {
      if (pending.length === 0) beganMs = timeMs
      pending.push(data.subarray(start, end))
      yield { timeMs: beganMs, text: Buffer.concat(pending), isWhole: true }
      pending = []
      start = end + 1
    }
    if (start === data.length) continue
    if (pending.length === 0) beganMs = timeMs
    pending.push(data.subarray(start))
  }
  if (pending.length > 0) {
    yield { timeMs: beganMs, text: Buffer.concat(pending), isWhole: false }
  }
}
