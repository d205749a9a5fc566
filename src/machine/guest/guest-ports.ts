import { ContainerError } from '../../core/errors.ts'
import type { MachineState } from '../state/machine-record.ts'
import { formatForward, type PortForward } from '../state/port-forward.ts'
import { Qmp } from '../qemu/qmp.ts'

/** Name of the network device that `planQemu` makes. */
const NETWORK = 'net'

/**
 * Forwards ports of this machine to a running guest until the guest ends.
 *
 * @throws ContainerError `IO` when a port is taken; the ports before it are closed again
 */
export async function openPorts(
  { control }: MachineState,
  forwards: readonly PortForward[]
): Promise<void> {
  using qmp = await Qmp.open(control)
  const opened: PortForward[] = []
  for (const forward of forwards) {
    const said = await monitor(
      qmp,
      `hostfwd_add ${NETWORK} ${place(forward)}-:${forward.guestPort}`
    )
    if (said === '') {
      opened.push(forward)
      continue
    }
    for (const other of opened) await monitor(qmp, `hostfwd_remove ${NETWORK} ${place(other)}`)
    throw new ContainerError('IO', `cannot forward ${formatForward(forward)}: ${said}`, {
      hint: 'another program or container on this machine may use the port: choose another one'
    })
  }
}

/** Closes the ports that {@link openPorts} opened. */
export async function closePorts(
  { control }: MachineState,
  forwards: readonly PortForward[]
): Promise<void> {
  using qmp = await Qmp.open(control)
  for (const forward of forwards) {
    await monitor(qmp, `hostfwd_remove ${NETWORK} ${place(forward)}`)
  }
}

function place({ protocol, address, hostPort }: PortForward): string {
  return `${protocol}:${address}:${hostPort}`
}

/** @returns what the monitor prints, which is nothing where all went well, but for removals */
async function monitor(qmp: Qmp, line: string): Promise<string> {
  const said = await qmp.execute('human-monitor-command', { 'command-line': line })
  return String(said).trim()
}
