import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { systemErrorCode } from '../../core/errors.ts'

/** A file that has kept its size for so long is finished: RocksDB writes each of its large files once. Milliseconds. */
const FINISHED_MS = 10_000
const WRITTEN_ONCE = /\.(blob|sst)$/

interface Seen {
  readonly bytes: number
  /** Since when it has this size, of `performance.now`. */
  readonly sinceMs: number
}

/** Measures again and again how much disk a directory takes. Files that are finished are looked at once. */
export class DirectorySize {
  readonly #directory: string
  /** By path. */
  #seen = new Map<string, Seen>()

  constructor(directory: string) {
    this.#directory = directory
  }

  /** Bytes of disk that its files take now. @throws the system's error for a directory that cannot be read */
  bytes(): number {
    const now = new Map<string, Seen>()
    const bytes = this.#bytesBelow(this.#directory, now)
    this.#seen = now
    return bytes
  }

  #bytesBelow(directory: string, into: Map<string, Seen>): number {
    let bytes = 0
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name)
      bytes += entry.isDirectory() ? this.#bytesBelow(path, into) : this.#bytesAt(path, into)
    }
    return bytes
  }

  #bytesAt(path: string, into: Map<string, Seen>): number {
    if (!WRITTEN_ONCE.test(path)) return bytesOf(path)
    const before = this.#seen.get(path)
    const nowMs = performance.now()
    if (before !== undefined && nowMs - before.sinceMs > FINISHED_MS) {
      into.set(path, before)
      return before.bytes
    }
    const bytes = bytesOf(path)
    into.set(path, before?.bytes === bytes ? before : { bytes, sinceMs: nowMs })
    return bytes
  }
}

/** Bytes of disk that a file takes; 0 for one that has gone meanwhile. */
export function bytesOf(path: string): number {
  try {
    return statSync(path).blocks * 512
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return 0
    throw error
  }
}
