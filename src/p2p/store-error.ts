import { statfsSync } from 'node:fs'
import { ContainerError } from '../image/errors.ts'

/**
 * Below this many free bytes a write that failed has failed for want of space. RocksDB keeps the
 * reason of a failed write to itself, and allocates its files in steps of this order.
 */
const NO_SPACE_BYTES = 96 * 1024 * 1024

/** Puts a store's write error into the user's terms. */
export function storeError(storage: string, cause: unknown): ContainerError {
  const text = cause instanceof Error ? cause.message : String(cause)
  const full = fullDisk(storage, cause)
  if (full) return full
  return new ContainerError('IO', `cannot write to the store ${storage}: ${text}`, { cause })
}

/** The error to give when a write failed and the disk has no room; undefined when it has. */
export function fullDisk(storage: string, cause?: unknown): ContainerError | undefined {
  try {
    const { bavail, bsize } = statfsSync(storage)
    if (bavail * bsize >= NO_SPACE_BYTES) return undefined
  } catch {
    return undefined
  }
  return new ContainerError('DISK_FULL', `the disk that holds ${storage} is full`, {
    hint: 'free some space (`dat-container images` and `unseed` help), or use another --home',
    cause
  })
}
