import { constants } from 'node:os'
import { isContainerError, type ErrorCode } from '../../core/errors.ts'

const { EIO, ENOENT, EPERM, ENOSPC, EBUSY, EINVAL, EACCES, ENOEXEC, EEXIST } = constants.errno

/**
 * The errno a filesystem operation fails with. Whatever keeps content from being read is EIO: it is
 * the one errno programs expect of read(2), and the kernel tries again at the next access.
 */
const ERRNO: Record<ErrorCode, number> = {
  USAGE: EINVAL,
  BAD_LINK: EINVAL,
  WRONG_SECRET: EACCES,
  NOT_AN_IMAGE: EINVAL,
  UNSUPPORTED_VERSION: EINVAL,
  BAD_MANIFEST: EIO,
  BAD_INDEX: EIO,
  BAD_BLOCK: EIO,
  BAD_SOURCE: EIO,
  PEERS_UNREACHABLE: EIO,
  NOT_FOUND: ENOENT,
  SOURCE_CHANGED: EIO,
  DISK_FULL: ENOSPC,
  STORE_DAMAGED: EIO,
  NEEDS_ROOT: EPERM,
  MISSING_TOOL: EIO,
  FORKED: EIO,
  BAD_CHANNEL: EIO,
  ROLLED_BACK: EIO,
  NAME_IN_USE: EEXIST,
  NOT_RUNNING: EIO,
  BUSY: EBUSY,
  DAEMON_RUNNING: EBUSY,
  DAEMON_UNREACHABLE: EIO,
  MOUNT_FAILED: EIO,
  BOOT_FAILED: EIO,
  COMMAND_NOT_EXECUTABLE: ENOEXEC,
  COMMAND_NOT_FOUND: ENOENT,
  TIMEOUT: EIO,
  CANCELLED: EIO,
  IO: EIO
}

/** The negative errno, as FUSE wants it, for anything that was thrown. */
export function fuseErrno(error: unknown): number {
  return -(isContainerError(error) ? ERRNO[error.code] : EIO)
}

const NAMES = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]))
// Node.js has no name for it; mount(2) says it of a file that wants a loop device.
NAMES.set(15, 'ENOTBLK')

/** `ENODEV` for 19; `errno 999` for a number that has no name here. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`
}
