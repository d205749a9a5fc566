import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'
import { systemErrorCode } from '../../core/errors.ts'
import { LOG_SEGMENTS, segmentPath, timesPath, TIME_BYTES, encodeTime } from './console-segments.ts'

const SEGMENT_BYTES = 10 * 1024 * 1024
/** Largest file of times. Without a limit, a console that writes a byte now and then would get more times than content. */
const TIMES_BYTES = 1024 * 1024
/** Writes within this many milliseconds share one time. */
const TIME_STEP_MS = 50

export interface ConsoleWriterOptions {
  /** A segment that would grow past this is set aside. @default 10 MiB */
  readonly segmentBytes?: number
}

/**
 * Appends to a container's console log, and notes when. A log that has grown large is set aside and a new one begun;
 * of those that were set aside, the youngest are kept.
 */
export class ConsoleWriter implements Disposable {
  readonly #path: string
  readonly #segmentBytes: number
  #log: number
  #times: number
  #size: number
  #timesSize: number
  #lastMs = 0

  /** @throws the system's error when the log cannot be opened */
  constructor(path: string, { segmentBytes = SEGMENT_BYTES }: ConsoleWriterOptions = {}) {
    this.#path = path
    this.#segmentBytes = segmentBytes
    this.#log = openSync(path, 'a', 0o600)
    this.#times = openSync(timesPath(path), 'a', 0o600)
    this.#size = fstatSync(this.#log).size
    this.#timesSize = fstatSync(this.#times).size
  }

  /** A full disk loses output and keeps nobody from going on. */
  readonly write = (data: Buffer): void => {
    try {
      this.#makeRoom(data.length)
      this.#noteTime()
      this.#size += writeSync(this.#log, data)
    } catch {
      this.#size = fstatSync(this.#log).size
    }
  };

  [Symbol.dispose](): void {
    closeSync(this.#log)
    closeSync(this.#times)
  }

  #noteTime(): void {
    const now = Date.now()
    if (this.#timesSize > 0 && Math.abs(now - this.#lastMs) < TIME_STEP_MS) return
    this.#timesSize += writeSync(this.#times, encodeTime({ timeMs: now, offset: this.#size }))
    this.#lastMs = now
  }

  #makeRoom(bytes: number): void {
    const isFull = this.#size > 0 && this.#size + bytes > this.#segmentBytes
    if (!isFull && this.#timesSize + TIME_BYTES <= TIMES_BYTES) return
    for (let age = LOG_SEGMENTS - 2; age >= 0; age--) {
      for (const pathOf of [(path: string) => path, timesPath]) {
        renameIfThere(
          pathOf(segmentPath(this.#path, age)),
          pathOf(segmentPath(this.#path, age + 1))
        )
      }
    }
    const [log, times] = [this.#log, this.#times]
    this.#log = openSync(this.#path, 'a', 0o600)
    closeSync(log)
    this.#times = openSync(timesPath(this.#path), 'a', 0o600)
    closeSync(times)
    this.#size = fstatSync(this.#log).size
    this.#timesSize = fstatSync(this.#times).size
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}
