import { statfsSync } from 'node:fs'
import { ContainerError, systemErrorCode } from '../core/errors.ts'

/**
 * Below this many free bytes a write that failed has failed for want of space. RocksDB keeps the
 * reason of a failed write to itself, and allocates its files in steps of this order.
 */
const NO_SPACE_BYTES = 96 * 1024 * 1024

/**
 * Left free by who publishes or fills an image up: a store that was not closed writes when it is opened what its log of two
 * write buffers holds, and does not open on a disk that has no room for that.
 */
const RESERVED_BYTES = 48 * 1024 * 1024

/** @throws ContainerError `DISK_FULL` where no room would be left for what the store needs itself */
export function checkRoom(storage: string): void {
  const error = lacksRoom(storage)
  if (error) throw error
}

/** What {@link checkRoom} throws; undefined where there is room. */
export function lacksRoom(storage: string): ContainerError | undefined {
  return freeBytes(storage) < RESERVED_BYTES ? diskFull(storage) : undefined
}

/** Whether RocksDB has read something that fails its checksum, or that the disk does not give. */
export function isDamage(error: unknown): boolean {
  // Those of other files name the call that failed.
  return systemErrorCode(error) === 'EIO' && !(error instanceof Error && 'syscall' in error)
}

/** Says why a store does not open. */
export function openError(storage: string, cause: unknown): ContainerError {
  const text = cause instanceof Error ? cause.message : String(cause)
  if (/\block/i.test(text)) {
    return new ContainerError('BUSY', `cannot open the store ${storage}: ${text}`, {
      hint: 'another process may have it open; stop it, or use another --home',
      cause
    })
  }
  return storeDamaged(`the store ${storage} does not open: ${text}`, cause)
}

/** Error for a store that only `repair` makes good. @param message what does not work */
export function storeDamaged(message: string, cause?: unknown): ContainerError {
  return new ContainerError('STORE_DAMAGED', message, {
    hint: 'run `dat-container repair`: it sets the store aside and rebuilds it from readable blocks and from peers',
    cause
  })
}

/** Puts a store's write error into the user's terms. */
export function storeError(storage: string, cause: unknown): ContainerError {
  const text = cause instanceof Error ? cause.message : String(cause)
  const full = fullDisk(storage, cause)
  if (full) return full
  return new ContainerError('IO', `cannot write to the store ${storage}: ${text}`, { cause })
}

/** The error to give when a write failed and the disk has no room; undefined when it has. */
export function fullDisk(storage: string, cause?: unknown): ContainerError | undefined {
  return freeBytes(storage) < NO_SPACE_BYTES ? diskFull(storage, cause) : undefined
}

/** Infinity where nobody knows. */
function freeBytes(storage: string): number {
  try {
    const { bavail, bsize } = statfsSync(storage)
    return bavail * bsize
  } catch {
    return Infinity
  }
}

function diskFull(storage: string, cause?: unknown): ContainerError {
  return new ContainerError('DISK_FULL', `the disk that holds ${storage} is full`, {
    hint: 'free some space (`dat-container images` and `unseed` help), or use another --home',
    cause
  })
}
