import { closeSync, constants, openSync } from 'node:fs'
import { join } from 'node:path'
import type { CleanupStack } from '../../core/cleanup-stack.ts'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { isAlive, type ProcessIdentity } from '../../core/host/process-table.ts'
import { readContainerRights, type RightsOptions } from './container-rights.ts'
import type { EntryPlan } from './entry-plan.ts'
import { makeEntryProgram } from './entry-program.ts'
import { openPidfd } from './kernel-calls.ts'
import { sealProgram } from './sealed-program.ts'
import { thisProcessor } from './processor.ts'

/** The command to start in a container. Everything else comes from the container. */
export type EntryCommand = Pick<EntryPlan, 'user' | 'cwd' | 'terminal' | 'path' | 'argv' | 'env'>

/** A program that starts a command in a container, ready to be run. */
export interface Entry {
  /** Its path for a process that has {@link descriptors}. */
  readonly program: string
  /** The descriptors that its process must have from 3 on; `report` stands for a pipe that is read here. */
  readonly descriptors: readonly (number | 'report')[]
}

/** O_PATH, which Node.js has no name for. */
const O_PATH = 0o10_000_000
const FIRST_DESCRIPTOR = 3
/** The descriptors by what they are, in this order; after them those of cgroups. */
const [PROGRAM, REPORT, LEADER, PID_NAMESPACE, ROOT, CGROUPS] = [0, 1, 2, 3, 4, 5].map(
  (index) => FIRST_DESCRIPTOR + index
) as [number, number, number, number, number, number]
/** The descriptor to read a report from, in the process that starts the program. */
export const REPORT_DESCRIPTOR = REPORT

/**
 * Makes the program that starts a command in a running container, with exactly the rights of its
 * PID 1. The program is sealed, so the container cannot change it, and it maps nothing of this
 * machine.
 *
 * @param cgroups directories of the cgroups for the command to join
 * @param cleanup closes what is opened, once the program's process has been started
 * @throws ContainerError `NOT_RUNNING`, `MISSING_TOOL`, `BUSY`
 */
export async function enterContainer(
  leader: ProcessIdentity,
  command: EntryCommand,
  cgroups: readonly string[],
  options: RightsOptions,
  cleanup: CleanupStack
): Promise<Entry> {
  const processor = thisProcessor()
  const opened = (fd: number): number => {
    cleanup.defer(() => closeSync(fd))
    return fd
  }
  try {
    const pidfd = opened(openPidfd(leader.pid))
    // From here on the number means this process, or a dead one.
    if (!isAlive(leader)) throw new ContainerError('NOT_RUNNING', 'the container has ended')
    const { capabilitiesOf, ...rights } = await readContainerRights(leader, options)
    const root = opened(openSync(`/proc/${leader.pid}/root`, O_PATH | constants.O_DIRECTORY))
    const pidNamespace = opened(openSync(`/proc/${leader.pid}/ns/pid`, 'r'))
    const joined = cgroups.map((directory) =>
      opened(openSync(join(directory, 'cgroup.procs'), 'w'))
    )
    if (!isAlive(leader)) throw new ContainerError('NOT_RUNNING', 'the container has ended')
    const program = makeEntryProgram(
      {
        ...rights,
        ...command,
        capabilities: capabilitiesOf(command.user.uid),
        descriptors: {
          report: REPORT,
          leader: LEADER,
          pidNamespace: PID_NAMESPACE,
          root: ROOT,
          cgroups: joined.map((_, index) => CGROUPS + index)
        }
      },
      processor
    )
    return {
      program: `/proc/self/fd/${PROGRAM}`,
      descriptors: [opened(sealProgram(program)), 'report', pidfd, pidNamespace, root, ...joined]
    }
  } catch (cause) {
    if (!['ESRCH', 'ENOENT'].includes(systemErrorCode(cause) ?? '') || isAlive(leader)) throw cause
    throw new ContainerError('NOT_RUNNING', 'the container has ended', { cause })
  }
}
