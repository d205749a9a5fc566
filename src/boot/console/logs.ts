import type { FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { isUnchanged, openSegments, type Segment } from './console-segments.ts'
import { readLiveState, requireKnown } from '../state/container-record.ts'
import { bootPaths, containerPaths, type ContainerPaths } from '../state/paths.ts'

export interface ReadLogsOptions {
  readonly home: string
  readonly name: string
  /** Go on with what is written, until the container ends. @default false */
  readonly follow?: boolean
  /** Start with this many last lines. @default all */
  readonly tail?: number
  /** Start with what was written at this time or later; milliseconds since 1970. @default all */
  readonly sinceMs?: number
  readonly signal?: AbortSignal
}

/** Bytes of a log that were written together. */
export interface LogPart {
  readonly data: Buffer
  /** Milliseconds since 1970; undefined where an older release wrote it. */
  readonly timeMs: number | undefined
}

/** A place in a log: a file of it, the oldest first, and a byte in that. */
interface Place {
  readonly segment: number
  readonly position: number
}

const READ_BYTES = 64 * 1024
const POLL_MS = 150
const NEWLINE = 0x0a

/**
 * The console log of a container that was started detached: its bytes as they were written, and when.
 *
 * @throws ContainerError `NOT_FOUND`
 */
export async function* readLogs(options: ReadLogsOptions): AsyncGenerator<LogPart> {
  const { home, name, follow = false, signal } = options
  const paths = containerPaths(bootPaths(home), name)
  requireKnown(paths)
  let segments = await openSegments(paths.consoleLog)
  try {
    let { segment, position } = await beginning(segments, options)
    for (;;) {
      // Looked at before reading: what the container wrote last is still read after it has ended.
      const lives = follow && signal?.aborted !== true && (await isLive(paths))
      for (; segment < segments.length; segment++, position = 0) {
        for await (const part of partsOf(segments[segment]!, position)) {
          position += part.data.length
          yield part
        }
        if (segment === segments.length - 1) break
      }
      if (!lives) return
      await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal }).catch(() => {})
      const last = segments[segment]
      if (last && (await isUnchanged(paths.consoleLog, last, position))) continue
      const before = last?.inode
      await close(segments)
      segments = await openSegments(paths.consoleLog)
      // A missing file was rotated away meanwhile; the rest begins later.
      const now = segments.findIndex(({ inode }) => inode === before)
      if (now < 0) position = 0
      segment = Math.max(now, 0)
    }
  } finally {
    await close(segments)
  }
}

async function close(segments: readonly Segment[]): Promise<void> {
  for (const { file } of segments) await file.close()
}

async function isLive(paths: ContainerPaths): Promise<boolean> {
  return (await readLiveState(paths)) !== undefined
}

/** The part of a file from a byte on, cut where its time changes. */
async function* partsOf({ file, times }: Segment, from: number): AsyncGenerator<LogPart> {
  let next = times.findIndex(({ offset }) => offset > from)
  if (next < 0) next = times.length
  for (let position = from; ;) {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, position)
    if (bytesRead === 0) return
    const start = position
    const end = start + bytesRead
    while (position < end) {
      const until = Math.min(end, times[next]?.offset ?? end)
      if (until > position) {
        yield {
          data: buffer.subarray(position - start, until - start),
          timeMs: times[next - 1]?.timeMs
        }
      }
      position = until
      while (next < times.length && times[next]!.offset <= position) next++
    }
  }
}

async function beginning(
  segments: readonly Segment[],
  { tail, sinceMs }: ReadLogsOptions
): Promise<Place> {
  const last = tail === undefined ? { segment: 0, position: 0 } : await tailPlace(segments, tail)
  const young = sinceMs === undefined ? last : await sincePlace(segments, sinceMs)
  if (young.segment !== last.segment) return young.segment > last.segment ? young : last
  return young.position > last.position ? young : last
}

async function sincePlace(segments: readonly Segment[], sinceMs: number): Promise<Place> {
  for (const [segment, { times }] of segments.entries()) {
    const found = times.find(({ timeMs }) => timeMs >= sinceMs)
    if (found) return { segment, position: found.offset }
  }
  const size = (await segments.at(-1)?.file.stat())?.size ?? 0
  return { segment: Math.max(segments.length - 1, 0), position: size }
}

/** Finds the offset of the last `lines` lines. It reads backwards, so a long log costs no more than a short one. */
async function tailPlace(segments: readonly Segment[], lines: number): Promise<Place> {
  let wanted = lines
  // The newline that ends the log begins no line.
  let isEnd = true
  for (let segment = segments.length - 1; segment >= 0; segment--) {
    const { file } = segments[segment]!
    const { size } = await file.stat()
    if (lines <= 0) return { segment, position: size }
    for await (const position of newlinesBefore(file, size)) {
      if (isEnd && position === size - 1) continue
      if (--wanted === 0) return { segment, position: position + 1 }
    }
    if (size > 0) isEnd = false
  }
  return { segment: 0, position: 0 }
}

async function* newlinesBefore(file: FileHandle, size: number): AsyncGenerator<number> {
  for (let end = size; end > 0; end -= READ_BYTES) {
    const start = Math.max(0, end - READ_BYTES)
    const { buffer } = await file.read(Buffer.alloc(end - start), 0, end - start, start)
    for (let index = buffer.length - 1; index >= 0; index--) {
      if (buffer[index] === NEWLINE) yield start + index
    }
  }
}
