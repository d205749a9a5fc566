import type { ProcessIdentity } from '../boot/process-table.ts'
import { hasSandbox, type Qemu } from './find-qemu.ts'
import { guardLoopback, type GuardPlace } from './loopback-guard.ts'
import type { MachineConfig } from './machine-record.ts'
import type { ControlPlace } from './qemu-plan.ts'
import { Qmp } from './qmp.ts'

/**
 * Whether a QEMU gives up the system calls that it does not need: all do that can. That one cannot
 * matters to whoever wants a guest isolated.
 *
 * @param notice told of that
 */
export async function sandboxOf(
  qemu: Qemu,
  { isolates }: Pick<MachineConfig, 'isolates'>,
  notice: (line: string) => void
): Promise<boolean> {
  if (await hasSandbox(qemu)) return true
  if (isolates !== undefined) notice('this QEMU cannot give up system calls: it has no -sandbox')
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
    notice(`the guest can reach what listens on this machine’s loopback: ${why}`)
  }
  using qmp = await Qmp.open(control)
  await qmp.execute('cont')
}
