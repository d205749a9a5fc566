import type { ErrorCode } from '../../core/errors.ts'

export const EXIT_FAILED = 1
export const EXIT_USAGE = 2
/** What was interrupted by SIGINT ends with, as in a shell. */
export const EXIT_INTERRUPTED = 130

/** The one place that maps an error to the exit status of the command. */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  USAGE: EXIT_USAGE,
  NOT_FOUND: 3,
  PEERS_UNREACHABLE: 4,
  BAD_LINK: 5,
  WRONG_SECRET: 5,
  NOT_AN_IMAGE: 5,
  UNSUPPORTED_VERSION: 5,
  BAD_MANIFEST: 5,
  BAD_INDEX: 5,
  BAD_CHANNEL: 5,
  ROLLED_BACK: 5,
  BAD_BLOCK: 5,
  BAD_SOURCE: 5,
  BOOT_FAILED: 125,
  COMMAND_NOT_EXECUTABLE: 126,
  COMMAND_NOT_FOUND: 127,
  CANCELLED: EXIT_INTERRUPTED,
  SOURCE_CHANGED: EXIT_FAILED,
  DISK_FULL: EXIT_FAILED,
  STORE_DAMAGED: EXIT_FAILED,
  NEEDS_ROOT: EXIT_FAILED,
  MISSING_TOOL: EXIT_FAILED,
  FORKED: EXIT_FAILED,
  NAME_IN_USE: EXIT_FAILED,
  NOT_RUNNING: EXIT_FAILED,
  BUSY: EXIT_FAILED,
  DAEMON_RUNNING: EXIT_FAILED,
  DAEMON_UNREACHABLE: EXIT_FAILED,
  MOUNT_FAILED: EXIT_FAILED,
  TIMEOUT: EXIT_FAILED,
  IO: EXIT_FAILED
}

/** Never 0: a code that came from elsewhere and is none of ours is a failure too. */
export function exitStatus(code: ErrorCode): number {
  return Object.hasOwn(STATUS, code) ? STATUS[code] : EXIT_FAILED
}
