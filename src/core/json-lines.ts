import type { Readable, Writable } from 'node:stream'
import { ContainerError } from './errors.ts'

const NEWLINE = 0x0a
/** Far more than any message; a sender without end shall not fill the memory. */
const MAX_LINE_BYTES = 256 * 2 ** 20

/**
 * The JSON values of a stream that holds one a line; ends when the stream does, or breaks.
 *
 * @throws ContainerError `IO` for a line that is no JSON, or one without end
 */
export async function* readJsonLines(stream: Readable): AsyncGenerator {
  for await (const line of readLines(stream)) {
    if (line !== '') yield parseLine(line)
  }
}

async function* readLines(stream: Readable): AsyncGenerator<string> {
  let parts: Buffer[] = []
  let bytes = 0
  for await (const chunk of readChunks(stream)) {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      parts.push(chunk.subarray(start, end))
      yield Buffer.concat(parts).toString()
      parts = []
      bytes = 0
      start = end + 1
    }
    bytes += chunk.length - start
    if (bytes > MAX_LINE_BYTES) throw notUnderstood('a message without end')
    parts.push(chunk.subarray(start))
  }
  yield Buffer.concat(parts).toString()
}

/** Treats a broken stream as ended. A caller that stops reading leaves the stream open. */
async function* readChunks(stream: Readable): AsyncGenerator<Buffer> {
  const chunks = stream.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>
  for (;;) {
    const next = await chunks.next().catch(() => undefined)
    if (next === undefined || next.done === true) return
    yield next.value
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw notUnderstood('what is no JSON', cause)
  }
}

function notUnderstood(what: string, cause?: unknown): ContainerError {
  return new ContainerError('IO', `another process of this program sent ${what}`, {
    hint: 'it may belong to another release: stop it, and try again',
    cause
  })
}

/**
 * A type as it comes out of JSON: what `toJSON` gives, and `never` for functions, objects with other methods and
 * bigints. A message whose fields are of it does not compile where a part of it could not reach the other process.
 */
export type Json<T> = T extends string | number | boolean | null | undefined
  ? T
  : T extends { toJSON(): infer Value }
    ? Json<Value>
    : T extends bigint | symbol | ((...args: never[]) => unknown)
      ? never
      : { readonly [Key in keyof T]: Json<T[Key]> }

/** Writes one value as one line; a stream that has closed swallows it. */
export function writeJsonLine(stream: Writable, value: unknown): void {
  if (!stream.writable) return
  stream.write(`${JSON.stringify(value)}\n`)
}
