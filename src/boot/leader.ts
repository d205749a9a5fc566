import type { ContainerState } from './container-record.ts'
import { findLeader } from './nspawn-process.ts'
import { isAlive, type ProcessIdentity } from './process-table.ts'

/** PID 1 of a running container now: after a reboot inside it is another than the state says. */
export function currentLeader(
  state: ContainerState & { readonly leader: ProcessIdentity }
): ProcessIdentity {
  if (isAlive(state.leader)) return state.leader
  return (state.nspawn === undefined ? undefined : findLeader(state.nspawn.pid)) ?? state.leader
}
