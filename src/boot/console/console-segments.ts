import { open, readFile, stat, type FileHandle } from 'node:fs/promises'
import { systemErrorCode } from '../../core/errors.ts'

/** The log that is written, and the older ones that are kept. */
export const LOG_SEGMENTS = 3
/** Two little-endian doubles: milliseconds since 1970, and the byte of the segment from which on that is the time. */
export const TIME_BYTES = 16

/** When a part of a segment was written. */
interface SegmentTime {
  readonly timeMs: number
  /** Offset in bytes at which the part begins. */
  readonly offset: number
}

/**
 * Names a file of a console log.
 *
 * @param age 0 for the file that is written, 1 for the one before it, and so on
 */
export function segmentPath(log: string, age: number): string {
  return age === 0 ? log : `${log}.${age}`
}

/** Names the file that holds the times of a log file's parts. */
export function timesPath(segment: string): string {
  return `${segment}.times`
}

/**
 * Encodes when a part of a log was written: two little-endian doubles, milliseconds since 1970 and the offset in
 * bytes.
 */
export function encodeTime({ timeMs, offset }: SegmentTime): Buffer {
  const bytes = Buffer.alloc(TIME_BYTES)
  bytes.writeDoubleLE(timeMs, 0)
  bytes.writeDoubleLE(offset, 8)
  return bytes
}

/** One file of a log, open. */
export interface Segment {
  readonly file: FileHandle
  /** Tells files apart, whatever they are called meanwhile. */
  readonly inode: bigint
  /** In order; empty where an older release wrote the log. */
  readonly times: readonly SegmentTime[]
}

/** Opens the files of a log, the oldest first; those that are there. The caller closes them. */
export async function openSegments(log: string): Promise<Segment[]> {
  const segments: Segment[] = []
  for (let age = LOG_SEGMENTS - 1; age >= 0; age--) {
    const path = segmentPath(log, age)
    const file = await open(path, 'r').catch(ignoreAbsent)
    if (file === undefined) continue
    const { ino } = await file.stat({ bigint: true })
    // A file that was rotated meanwhile occurs twice.
    if (segments.some(({ inode }) => inode === ino)) await file.close()
    else segments.push({ file, inode: ino, times: await readTimes(path) })
  }
  return segments
}

/** Tells whether the current file is still the one that was opened last, with nothing in it from `position` on. */
export async function isUnchanged(
  log: string,
  { inode }: Segment,
  position: number
): Promise<boolean> {
  const status = await stat(log, { bigint: true }).catch(ignoreAbsent)
  return status?.ino === inode && status.size <= position
}

/** Times of a segment. A record that is not whole yet is left out. */
async function readTimes(segment: string): Promise<SegmentTime[]> {
  const bytes = (await readFile(timesPath(segment)).catch(ignoreAbsent)) ?? Buffer.alloc(0)
  return Array.from({ length: Math.floor(bytes.length / TIME_BYTES) }, (_, index) => ({
    timeMs: bytes.readDoubleLE(index * TIME_BYTES),
    offset: bytes.readDoubleLE(index * TIME_BYTES + 8)
  }))
}

function ignoreAbsent(error: unknown): undefined {
  if (systemErrorCode(error) === 'ENOENT') return undefined
  throw error
}
