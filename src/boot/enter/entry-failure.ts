import { ContainerError, type ErrorCode } from '../../core/errors.ts'
import { errnoName } from '../../fuse/linux/errno.ts'
import type { EntryCommand } from './enter-container.ts'
import type { EntryReport } from './entry-plan.ts'

/** Turns the report of an entry program into an error message; pure. */
export function entryFailure(
  { step, errno }: EntryReport,
  { cwd }: Pick<EntryCommand, 'cwd'>
): ContainerError {
  const name = errnoName(errno)
  const failed = (code: ErrorCode, message: string, hint?: string): ContainerError =>
    new ContainerError(code, message, hint === undefined ? {} : { hint })
  if (step === 'change the directory') {
    const isAbsent = name === 'ENOENT' || name === 'ENOTDIR'
    const why = isAbsent ? 'the container has no such directory' : name
    return failed(
      'COMMAND_NOT_EXECUTABLE',
      `cannot run in ${cwd}: ${why}`,
      'choose another: -w DIR'
    )
  }
  const isGone = name === 'ESRCH' || (step === 'start in the PID namespace' && name === 'ENOMEM')
  if (isGone) return failed('NOT_RUNNING', 'the container has ended')
  const message = `cannot ${step}: ${errno === 0 ? 'the kernel did not do it' : name}`
  if (name === 'EAGAIN') {
    return failed('BUSY', message, 'the container has reached its process limit')
  }
  if (name === 'ENOSYS') {
    return failed('MISSING_TOOL', message, 'exec requires Linux 5.9 or later')
  }
  return failed('IO', message)
}
