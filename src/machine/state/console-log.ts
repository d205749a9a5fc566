import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemErrorCode } from '../../core/errors.ts'

const READ_BYTES = 64 * 1024
const POLL_MS = 150
/** Enough for the lines that are shown of a log. */
const TAIL_BYTES = 64 * 1024

/** Colours, cursor movements and other control characters, which must not reach a terminal. */
const CONTROL =
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|.)|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g

/**
 * Reads the last lines of a log, at most `count`, without control characters.
 *
 * @returns an empty list when there is no log
 */
export async function lastLines(path: string, count: number): Promise<string[]> {
  const text = await tailOf(path)
  return text
    .replace(CONTROL, '')
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '')
    .slice(-count)
}

/** Finds the line in which a kernel reports a panic. @returns undefined when there is none */
export async function findPanic(path: string): Promise<string | undefined> {
  const text = (await tailOf(path)).replace(CONTROL, '')
  return /Kernel panic - not syncing: [^\n]*/.exec(text)?.[0].trim()
}

/**
 * Whether a guest has said that its ssh server takes connections, as HyperOS does. Others may take them without a word.
 */
export async function saysSshListens(path: string): Promise<boolean> {
  return /Started ssh\.service/.test((await tailOf(path)).replace(CONTROL, ''))
}

/**
 * Finds the key, as `ssh-ed25519 BASE64`, that HyperOS printed at its last boot for signing attest records.
 *
 * @returns undefined when there is none
 */
export async function findAttestKey(path: string): Promise<string | undefined> {
  let text = ''
  for await (const part of readConsole(path)) text += part.toString('latin1')
  return [...text.matchAll(/attest key: (ssh-ed25519 [A-Za-z0-9+/=]+)/g)].at(-1)?.[1]
}

/**
 * Reads a log as the bytes that were written.
 *
 * @param options.tail start with this many last lines @default all
 * @param options.lives asked before each look whether more may come; without it, reading stops at the end
 */
export async function* readConsole(
  path: string,
  options: { tail?: number; lives?: () => Promise<boolean>; signal?: AbortSignal } = {}
): AsyncGenerator<Buffer> {
  const { tail, lives, signal } = options
  const file = await open(path, 'r').catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined) return
  try {
    let position = tail === undefined ? 0 : await tailPosition(path, tail)
    for (;;) {
      // Asked before reading: what came last is still read after the end.
      const goesOn = signal?.aborted !== true && (await lives?.()) === true
      for (;;) {
        const buffer = Buffer.alloc(READ_BYTES)
        const { bytesRead } = await file.read(buffer, 0, READ_BYTES, position)
        if (bytesRead === 0) break
        position += bytesRead
        yield buffer.subarray(0, bytesRead)
      }
      if (!goesOn) return
      await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal }).catch(() => {})
    }
  } finally {
    await file.close()
  }
}

/** Finds the offset of the last `lines` lines, within the last {@link TAIL_BYTES}. */
async function tailPosition(path: string, lines: number): Promise<number> {
  const { bytes, start } = await readTail(path)
  // The newline that ends the log begins no line.
  let at = bytes.at(-1) === 0x0a ? bytes.length - 1 : bytes.length
  if (lines <= 0) return start + bytes.length
  for (let seen = 0; seen < lines; seen++) {
    const newline = at <= 0 ? -1 : bytes.lastIndexOf(0x0a, at - 1)
    if (newline === -1) return start
    at = newline
  }
  return start + at + 1
}

async function tailOf(path: string): Promise<string> {
  return (await readTail(path)).bytes.toString('utf8')
}

async function readTail(path: string): Promise<{ bytes: Buffer; start: number }> {
  try {
    await using file = await open(path, 'r')
    const { size } = await file.stat()
    const start = Math.max(0, size - TAIL_BYTES)
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(size - start),
      0,
      size - start,
      start
    )
    return { bytes: buffer.subarray(0, bytesRead), start }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return { bytes: Buffer.alloc(0), start: 0 }
    throw error
  }
}
