import { parseByteAmount } from '../core/byte-amount.ts'
import { ContainerError } from '../core/errors.ts'

/** Environment variables by which a daemon gets its limits. */
export const MAX_DISK_VARIABLE = 'DAT_CONTAINER_MAX_DISK'
export const MAX_UP_VARIABLE = 'DAT_CONTAINER_MAX_UP'
export const MAX_DOWN_VARIABLE = 'DAT_CONTAINER_MAX_DOWN'

/** An open store itself takes some of this. Bytes. */
const LEAST_DISK_BYTES = 128 * 1024 * 1024
/** With less, a block would take longer than peers wait. Bytes a second. */
const LEAST_RATE = 16 * 1024
const NONE = 'none'

/** What a daemon may use of its machine; undefined for no limit. */
export interface DaemonLimits {
  /** Bytes of disk of the store. */
  readonly maxDiskBytes: number | undefined
  /** Bytes a second that are sent to, and fetched from, all peers together. */
  readonly maxUp: number | undefined
  readonly maxDown: number | undefined
}

/**
 * Reads `max-disk`: an amount of bytes, or `none`.
 *
 * @throws ContainerError `USAGE`
 */
export function parseMaxDisk(text: string | undefined): number | undefined {
  if (!text || text === NONE) return undefined
  const bytes = parseByteAmount(text)
  if (bytes >= LEAST_DISK_BYTES) return bytes
  throw new ContainerError('USAGE', `max-disk is too small: ${text}`, {
    hint: 'give at least 128M, which an open store may need itself'
  })
}

/**
 * Reads `max-up` or `max-down`: an amount of bytes a second, or `none`.
 *
 * @throws ContainerError `USAGE`
 */
export function parseRate(text: string | undefined): number | undefined {
  if (!text || text === NONE) return undefined
  const rate = parseByteAmount(text)
  if (rate >= LEAST_RATE) return rate
  throw new ContainerError('USAGE', `this is too little to work with: ${text} a second`, {
    hint: 'give at least 16k'
  })
}

/** Reads the limits of the environment. @throws ContainerError `USAGE` */
export function daemonLimitsOf(environment: NodeJS.ProcessEnv): DaemonLimits {
  return {
    maxDiskBytes: parseMaxDisk(environment[MAX_DISK_VARIABLE]),
    maxUp: parseRate(environment[MAX_UP_VARIABLE]),
    maxDown: parseRate(environment[MAX_DOWN_VARIABLE])
  }
}
