import type { Readable, Writable } from 'node:stream'
import { createInterface } from 'node:readline'

/** The JSON values of a stream that holds one a line; ends when the stream does. */
export async function* readJsonLines(stream: Readable): AsyncGenerator {
  // readline holds an error of its input back for ever; a broken stream is an ended one here.
  const lines = createInterface({ input: stream, crlfDelay: Infinity })
  stream.once('error', () => lines.close())
  for await (const line of lines) {
    if (line !== '') yield JSON.parse(line)
  }
}

/** Writes one value as one line; a stream that has closed swallows it. */
export function writeJsonLine(stream: Writable, value: unknown): void {
  if (!stream.writable) return
  stream.write(`${JSON.stringify(value)}\n`)
}
