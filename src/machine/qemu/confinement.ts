import { readFileSync } from 'node:fs'
import type { ProcessIdentity } from '../../core/host/process-table.ts'
import { hasSandbox, type Qemu } from './find-qemu.ts'
import { guardLoopback, type GuardPlace } from './loopback-guard.ts'
import { FIRST_DESCRIPTOR, lendFiles, type LentFiles } from './lent-files.ts'
import { lendShares } from './lent-shares.ts'
import type { MachineConfig } from '../state/machine-record.ts'
import type { MachinePlan } from './qemu-plan.ts'
import type { ControlPlace } from '../state/machine-types.ts'
import {
  acceleratorGroup,
  asNamespaceRoot,
  asUser,
  canEnterNamespace,
  canSwitchUser,
  qemuRange,
  qemuUid
} from './qemu-user.ts'
import { Qmp } from './qmp.ts'

/**
 * Tells whether a QEMU runs with a filter of system calls: every QEMU does that was built with one.
 *
 * @param notice gets a warning, for an isolated guest, if it cannot
 */
export async function sandboxOf(
  qemu: Qemu,
  { isolates }: Pick<MachineConfig, 'isolates'>,
  notice: (line: string) => void
): Promise<boolean> {
  if (await hasSandbox(qemu)) return true
  if (isolates !== undefined) notice('this QEMU cannot drop system calls: it has no -sandbox')
  return false
}

/** A started QEMU whose guest waits. */
export interface WaitingGuest {
  readonly qemu: ProcessIdentity
  readonly control: ControlPlace
  readonly place: GuardPlace
  readonly config: Pick<MachineConfig, 'isolates'>
}

/**
 * Lets an isolated guest run, once it is kept from this machine's loopback.
 *
 * @param notice told when it cannot be kept from it
 * @throws ContainerError `NOT_RUNNING`, `TIMEOUT`
 */
export async function beginGuarded(
  { qemu, control, place, config }: WaitingGuest,
  notice: (line: string) => void
): Promise<void> {
  const why = await guardLoopback(qemu.pid, place, config.isolates?.daemonPort)
  if (why !== undefined) {
    notice(`the guest can reach services on this machine’s loopback: ${why}`)
  }
  using qmp = await Qmp.open(control)
  await qmp.execute('cont')
}

/** How a QEMU is started: with what of the plan changed, and as whom. */
export interface ConfinedStart extends AsyncDisposable {
  readonly plan: MachinePlan
  /** Goes before the arguments of the plan. */
  readonly argv: readonly string[]
  readonly wrapper: readonly string[]
  readonly descriptors: readonly number[]
}

/**
 * Plans to start the QEMU of an isolated guest as a user of its own, to whom nothing of this machine
 * belongs but the directories that the guest was given. Disposed of when QEMU has been started.
 *
 * @param directory of the machine, where files may be made for a moment
 * @param notice told when QEMU runs as root all the same
 */
export async function confineStart(
  plan: MachinePlan,
  { place, directory }: { readonly place: GuardPlace; readonly directory: string },
  notice: (line: string) => void
): Promise<ConfinedStart> {
  const { control } = plan
  const asItIs = {
    plan,
    argv: [],
    wrapper: [],
    descriptors: [],
    [Symbol.asyncDispose]: async () => {}
  }
  if (plan.paused !== true || !canSwitchUser() || control.kind !== 'unix') return asItIs
  const atRoot = (why: string): ConfinedStart => {
    notice(`QEMU runs as root, as the guest has directories of this machine and ${why}`)
    return asItIs
  }
  if (plan.shares.length === 0) {
    const uid = qemuUid(place)
    const lent = await lendFiles({ ...plan, control }, uid, directory)
    return confined(lent, asUser(uid, plan.accelerator), [lent])
  }
  if (!canEnterNamespace()) return atRoot('there is no nsenter')
  const low = plan.forwards.find(({ hostPort }) => hostPort < firstOpenPort())
  if (low !== undefined) {
    return atRoot(
      `its port ${low.hostPort} is privileged; ports from ${firstOpenPort()} on are not`
    )
  }
  const range = qemuRange(place)
  const group = acceleratorGroup(plan.accelerator)
  const shared = await lendShares(plan.shares, { range, group, first: FIRST_DESCRIPTOR })
  if (shared === undefined) return atRoot('their file system, or this kernel, cannot map owners')
  const { shares, descriptors, userNamespace } = shared
  const wrapper = asNamespaceRoot(userNamespace, group === undefined ? undefined : range.count)
  try {
    const first = FIRST_DESCRIPTOR + descriptors.length
    const lent = await lendFiles({ ...plan, shares, control }, range.base, directory, first)
    const all = { ...lent, descriptors: [...descriptors, ...lent.descriptors] }
    return confined(all, wrapper, [lent, shared])
  } catch (error) {
    await shared[Symbol.asyncDispose]()
    throw error
  }
}

function confined(
  { plan, argv, descriptors }: LentFiles,
  wrapper: readonly string[],
  opened: readonly AsyncDisposable[]
): ConfinedStart {
  const close = async (): Promise<void> => {
    for (const one of opened) await one[Symbol.asyncDispose]()
  }
  return { plan, argv, descriptors, wrapper, [Symbol.asyncDispose]: close }
}

/** The lowest port that a process without privilege may listen at. */
function firstOpenPort(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'))
  } catch {
    return 1024
  }
}
