/**
 * Everything that can go wrong in a way a caller may want to tell apart. The set is closed: the one
 * place that maps a code to an exit status is `src/cli/print/exit-status.ts`, and the one that maps it to
 * an errno is `src/fuse/linux/errno.ts`.
 */
const ERROR_CODES = [
  'USAGE', // the call itself is wrong: flag, argument, combination
  'BAD_LINK', // a link that is truncated, altered or no link at all
  'WRONG_SECRET', // the link's encryption key does not open the drive
  'NOT_AN_IMAGE', // the drive is readable but holds no container image
  'UNSUPPORTED_VERSION', // a format version this release does not know
  'BAD_MANIFEST', // container.json does not parse or contradicts itself
  'BAD_INDEX', // the index does not parse, does not fit its digest, or is hostile
  'BAD_CHANNEL', // a channel's record does not parse, or its log is no channel
  'ROLLED_BACK', // a channel names what is older than what this home has seen of it
  'BAD_BLOCK', // a stored block does not decode to the length the index promises
  'BAD_SOURCE', // the thing to publish cannot be published (damaged archive, unsupported kind)
  'PEERS_UNREACHABLE', // nobody who has the data answered in time
  'NOT_FOUND', // no such container, image, version or path
  'SOURCE_CHANGED', // the source was modified or vanished while it was read
  'DISK_FULL',
  'STORE_DAMAGED', // the home's store does not open
  'NEEDS_ROOT',
  'MISSING_TOOL', // a program or kernel feature is absent
  'FORKED', // two histories of an image are signed
  'NAME_IN_USE',
  'NOT_RUNNING',
  'BUSY', // something is in use: a mount point, a home, an image of a running container
  'DAEMON_RUNNING', // a second daemon was asked for
  'DAEMON_UNREACHABLE',
  'MOUNT_FAILED',
  'BOOT_FAILED',
  'COMMAND_NOT_EXECUTABLE', // 126 of `docker run`
  'COMMAND_NOT_FOUND', // 127 of `docker run`
  'TIMEOUT',
  'CANCELLED',
  'IO'
] as const

export type ErrorCode = (typeof ERROR_CODES)[number]

const CODES: ReadonlySet<unknown> = new Set(ERROR_CODES)

/** The code that a process of another release may have sent: one that is not known here is `IO`. */
export function knownCode(code: unknown): ErrorCode {
  return CODES.has(code) ? (code as ErrorCode) : 'IO'
}

export interface ContainerErrorOptions {
  /** What the user can do next; printed after the message. */
  hint?: string | undefined
  /** The id by which the daemon's log has the request that failed. */
  requestId?: string | undefined
  cause?: unknown
}

/** The one error class that leaves a public function on purpose. One line says what happened. */
export class ContainerError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly requestId: string | undefined

  constructor(code: ErrorCode, message: string, options: ContainerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'ContainerError'
    this.code = code
    this.hint = options.hint
    this.requestId = options.requestId
  }
}

/** Whether `error` is a {@link ContainerError}, of one of `codes` when any are given. */
export function isContainerError(error: unknown, ...codes: ErrorCode[]): error is ContainerError {
  return error instanceof ContainerError && (codes.length === 0 || codes.includes(error.code))
}

/** The id of the request to the daemon that an error goes back to; undefined where there was none. */
export function requestIdOf(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof ContainerError && at.requestId !== undefined) return at.requestId
  }
  return undefined
}

/** The `code` of a Node.js system error (`ENOENT`, …), or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
