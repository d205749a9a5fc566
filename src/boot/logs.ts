import { open, type FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemErrorCode } from '../image/errors.ts'
import { readLiveState, requireKnown } from './container-record.ts'
import { bootPaths, containerPaths, type ContainerPaths } from './paths.ts'

export interface ReadLogsOptions {
  readonly home: string
  readonly name: string
  /** Go on with what is written, until the container ends. @default false */
  readonly follow?: boolean
  /** Start with this many last lines. @default all */
  readonly tail?: number
  readonly signal?: AbortSignal
}

const READ_BYTES = 64 * 1024
const POLL_MS = 150
const NEWLINE = 0x0a

/**
 * The console log of a container that was started detached: its bytes as they were written.
 *
 * @throws ContainerError `NOT_FOUND`
 */
export async function* readLogs(options: ReadLogsOptions): AsyncGenerator<Buffer> {
  const { home, name, follow = false, tail, signal } = options
  const places = containerPaths(bootPaths(home), name)
  requireKnown(places)
  const file = await openOrNothing(places.consoleLog)
  if (file === undefined) return
  try {
    let position = tail === undefined ? 0 : await tailPosition(file, tail)
    for (;;) {
      // Looked at before reading: what the container wrote last is still read after it has ended.
      const lives = follow && signal?.aborted !== true && (await isLive(places))
      for (;;) {
        const { buffer, bytesRead } = await file.read(
          Buffer.alloc(READ_BYTES),
          0,
          READ_BYTES,
          position
        )
        if (bytesRead === 0) break
        position += bytesRead
        yield buffer.subarray(0, bytesRead)
      }
      if (!lives) return
      await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal }).catch(() => {})
    }
  } finally {
    await file.close()
  }
}

async function isLive(places: ContainerPaths): Promise<boolean> {
  return (await readLiveState(places)) !== undefined
}

async function openOrNothing(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Where the last `lines` lines begin; reads backwards, so a long log costs no more than a short. */
async function tailPosition(file: FileHandle, lines: number): Promise<number> {
  const { size } = await file.stat()
  if (lines <= 0) return size
  let seen = 0
  for (let end = size; end > 0; end -= READ_BYTES) {
    const start = Math.max(0, end - READ_BYTES)
    const { buffer } = await file.read(Buffer.alloc(end - start), 0, end - start, start)
    for (let index = buffer.length - 1; index >= 0; index--) {
      // The newline that ends the log begins no line.
      if (buffer[index] !== NEWLINE || start + index === size - 1) continue
      if (++seen === lines) return start + index + 1
    }
  }
  return 0
}
