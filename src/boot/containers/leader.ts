import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ContainerError } from '../../core/errors.ts'
import type { ContainerState } from '../state/container-record.ts'
import { findCommandProcess, findLeader } from '../nspawn/nspawn-process.ts'
import { hostProgram } from '../../core/host/package-manager.ts'
import { isAlive, readProcFile, type ProcessIdentity } from '../../core/host/process-table.ts'

const POLL_MS = 5
/** The process name of nspawn once it has dropped its rights and only reaps. */
const STUB_NAME = '(sd-stubinit)'
/** nspawn takes milliseconds to set a container up once its PID 1 is there. */
const SETUP_TIMEOUT_MS = 10_000

/** Finds PID 1 of a running container. The recorded one is out of date after the container has rebooted. */
export function currentLeader(
  state: ContainerState & { readonly leader: ProcessIdentity }
): ProcessIdentity {
  if (isAlive(state.leader)) return state.leader
  return (state.nspawn === undefined ? undefined : findLeader(state.nspawn.pid)) ?? state.leader
}

/**
 * Finds PID 1 of a container, and waits until systemd-nspawn has set it up. Until then, it has neither the
 * container's root nor its seccomp filter.
 *
 * @throws ContainerError `NOT_RUNNING`
 */
export async function startedLeader(
  state: ContainerState & { readonly leader: ProcessIdentity }
): Promise<ProcessIdentity> {
  const deadline = performance.now() + SETUP_TIMEOUT_MS
  for (;;) {
    const leader = currentLeader(state)
    const ended = !isAlive(leader)
    if (!ended && isSetUp(leader, state.mode)) return leader
    if (ended || performance.now() > deadline) {
      throw new ContainerError('NOT_RUNNING', `container ${state.name} is not running a command`, {
        hint: `see its output: dat-container logs ${state.name}`
      })
    }
    await sleep(POLL_MS)
  }
}

/** In process mode nspawn itself stays PID 1, and starts the command last. */
function isSetUp(leader: ProcessIdentity, mode: ContainerState['mode']): boolean {
  if (mode === 'process') {
    // Before that it may have another child: the image's getent, which looks up a user.
    const name = readProcFile(`/proc/${leader.pid}/comm`)?.trim()
    return name === STUB_NAME && findCommandProcess(leader) !== undefined
  }
  const [own, nspawn] = [`/proc/${leader.pid}/exe`, hostProgram('systemd-nspawn')].map((path) =>
    statSync(path, { throwIfNoEntry: false })
  )
  return own !== undefined && (own.dev !== nspawn?.dev || own.ino !== nspawn.ino)
}
