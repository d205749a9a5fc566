import { MAX_PROFILE_CHUNKS, type BootProfile } from '../../image/format/boot-profile.ts'
import type { ReadObserver } from '../../image/chunk/recording-reader.ts'

/** A read that waited; times of `monotonicMs`. */
export interface ReadWait {
  readonly chunk: number
  readonly sinceMs: number
  readonly untilMs: number
}

/** More reads than this before a container is ready are not told apart any more. */
const MAX_WAITS = 20_000
/** Shorter ones were answered from memory. */
const LEAST_WAIT_MS = 0.2

/**
 * Records which chunks a container reads first, in order, and which reads waited. It stores a set of numbers and a
 * short list, so little that every mount records.
 */
export class StartRecorder implements ReadObserver {
  /** In order of insertion. */
  readonly #chunks = new Set<number>()
  readonly #waits: ReadWait[] = []
  #ready: number | undefined
  #ended = false

  /** Chunks that are being read now. */
  readonly reading = new Set<number>()

  /** How often the kernel has asked for a chunk, or a part of one, so far. */
  touches = 0

  touched(chunk: number): void {
    this.touches++
    this.reading.add(chunk)
    if (!this.#ended && this.#chunks.size < MAX_PROFILE_CHUNKS) this.#chunks.add(chunk)
  }

  waited(chunk: number, sinceMs: number, untilMs: number): void {
    // Others may still read it, for as short as this one.
    this.reading.delete(chunk)
    if (untilMs - sinceMs < LEAST_WAIT_MS || this.#waits.length >= MAX_WAITS) return
    this.#waits.push({ chunk, sinceMs, untilMs })
  }

  get waits(): readonly ReadWait[] {
    return this.#waits
  }

  /** The readiness of the first of several containers counts. */
  markReady(): void {
    this.#ready ??= this.#chunks.size
  }

  /** The chunks read until now, or until the first call. */
  end(): BootProfile {
    this.#ended = true
    return { chunks: [...this.#chunks], ready: this.#ready ?? this.#chunks.size }
  }
}
