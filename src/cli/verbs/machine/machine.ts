import { InvalidArgumentError, type Command } from 'commander'
import { DEFAULT_NAME } from '../../../machine/state/machine-paths.ts'
import type { MachineSummary } from '../../../machine/state/machine-record.ts'
import { durationOption } from '../../parse/arguments.ts'
import { readGlobals, type Globals } from '../../parse/globals.ts'
import { interruptible } from '../../print/interrupt.ts'
import { writeStdout } from '../../print/stdout.ts'
import { fittedTable, table } from '../../print/table.ts'
import { addMachineAttest } from './machine-attest.ts'
import { addMachineImages } from './machine-images.ts'
import { addMachineNetboot } from './machine-netboot.ts'
import { addMachineShells } from './machine-shells.ts'
import { addMachineStart } from './machine-start.ts'

/** As `daemon status` has it. */
const EXIT_STOPPED = 3

export function addMachine(program: Command): void {
  const machine = program
    .command('machine')
    .description('manage virtual machines that run HyperOS and containers, on any host')
    .addHelpText(
      'after',
      '\nExamples:\n  dat-container machine start\n' +
        '  dat-container machine ssh -- uname -a\n' +
        '  dat-container machine stop'
    )
  addMachineStart(machine)
  addMachineShells(machine)
  addMachineImages(machine)
  addMachineAttest(machine)
  addMachineNetboot(machine)
  machine
    .command('ls')
    .aliases(['list'])
    .description('list machines')
    .addHelpText('after', '\nExample:\n  dat-container machine ls')
    .action(async (_flags: object, command: Command) => list(readGlobals(command)))
  machine
    .command('status')
    .description('show the state of a machine; exit status 3 if it does not run')
    .argument('[name]', 'the machine', DEFAULT_NAME)
    .addHelpText('after', '\nExample:\n  dat-container machine status web')
    .action(async (name: string, _flags: object, command: Command) =>
      status(name, readGlobals(command))
    )
  machine
    .command('ip')
    .description('print the address of a machine’s forwarded ports; --json has all addresses')
    .argument('[name]', 'the machine', DEFAULT_NAME)
    .addHelpText('after', '\nExample:\n  dat-container machine ip web')
    .action(async (name: string, _flags: object, command: Command) =>
      ip(name, readGlobals(command))
    )
  machine
    .command('logs')
    .description('print the serial console output of a machine since its last start')
    .argument('[name]', 'the machine', DEFAULT_NAME)
    .option('-f, --follow', 'keep printing until the machine ends')
    .option('--tail <lines>', 'start with this many last lines', lineCount)
    .addHelpText('after', '\nExample:\n  dat-container machine logs --tail 20 -f web')
    .action(logs)
  machine
    .command('stop')
    .description('stop machines: with the power button, then over ssh, then by force')
    .argument('[name...]', 'the machines', [DEFAULT_NAME])
    .addOption(
      durationOption('-t, --time <duration>', 'how long a clean shutdown may take', 60_000)
    )
    .addHelpText('after', '\nExample:\n  dat-container machine stop -t 2m web')
    .action(async (names: string[], flags: { time: number }, command: Command) =>
      stop(names, flags.time, readGlobals(command))
    )
  machine
    .command('kill')
    .description('switch machines off at once')
    .argument('[name...]', 'the machines', [DEFAULT_NAME])
    .addHelpText('after', '\nExample:\n  dat-container machine kill web')
    .action(async (names: string[], _flags: object, command: Command) =>
      stop(names, 0, readGlobals(command))
    )
  machine
    .command('rm')
    .description('remove machines and their disks')
    .argument('<name...>', 'the machines')
    .option('-f, --force', 'switch them off first')
    .addHelpText('after', '\nExample:\n  dat-container machine rm web')
    .action(async (names: string[], flags: { force?: boolean }, command: Command) =>
      remove(names, flags.force ?? false, readGlobals(command))
    )
}

async function list({ home, output }: Globals): Promise<void> {
  const { listMachines } = await import('../../../machine/qemu/machine-summary.ts')
  const { machineHome } = await import('../../../machine/state/machine-paths.ts')
  const machines = await listMachines(machineHome(home))
  output.result(machines, () =>
    fittedTable([
      ['NAME', 'STATE', 'ACCEL', 'CPUS', 'MEMORY', 'SSH', 'PID', 'SINCE'],
      ...machines.map((one) => [
        one.name,
        one.state,
        one.accel ?? '-',
        String(one.cpus),
        `${one.memoryMib} MiB`,
        one.sshPort === null ? '-' : `${one.ip}:${one.sshPort}`,
        String(one.pid ?? '-'),
        one.startedAt ?? '-'
      ])
    ])
  )
}

async function lookAt(name: string, home: string): Promise<MachineSummary> {
  const { summarize } = await import('../../../machine/qemu/machine-summary.ts')
  const { machineHome, machinePaths } = await import('../../../machine/state/machine-paths.ts')
  return summarize(machinePaths(machineHome(home), name))
}

async function status(name: string, { home, output }: Globals): Promise<void> {
  const found = await lookAt(name, home)
  output.result(found, () =>
    table(
      Object.entries({
        name: found.name,
        state: found.state,
        accelerator: found.accel,
        'machine type': found.type,
        processors: found.cpus,
        memory: `${found.memoryMib} MiB`,
        'data disk':
          found.diskBytes === 0
            ? null
            : `${found.diskBytes / 1024 ** 2} MiB${found.encrypted ? ', encrypted' : ''}`,
        ssh: found.sshPort === null ? null : `root@${found.ip}, port ${found.sshPort}`,
        forwards: found.forwards.join(', ') || null,
        shares:
          found.shares.map(({ source, target }) => `${source} as ${target}`).join(', ') || null,
        process: found.pid,
        since: found.startedAt,
        'ssh answered after': found.readyMs === null ? null : `${found.readyMs / 1000} s`,
        console: found.consoleLog
      }).flatMap(([what, value]) => (value === null ? [] : [[what, String(value)]]))
    )
  )
  if (found.state === 'stopped') process.exitCode = EXIT_STOPPED
}

async function ip(name: string, { home, output }: Globals): Promise<void> {
  const { requireRunning } = await import('../../../machine/state/machine-record.ts')
  const { machineHome, machinePaths } = await import('../../../machine/state/machine-paths.ts')
  await requireRunning(machinePaths(machineHome(home), name))
  const { ip, sshPort, guestIp, forwards } = await lookAt(name, home)
  output.result({ name, ip, sshPort, guestIp, forwards }, () => [String(ip)])
}

async function logs(
  name: string,
  flags: { follow?: boolean; tail?: number },
  command: Command
): Promise<void> {
  const { readMachineLog } = await import('../../../machine/guest/reach-machine.ts')
  const { home } = readGlobals(command)
  await interruptible(async (signal) => {
    const request = { home, name, follow: flags.follow ?? false, tail: flags.tail, signal }
    for await (const part of readMachineLog(request)) {
      await writeStdout(part, signal)
    }
  })
}

async function stop(
  names: readonly string[],
  timeoutMs: number,
  { home, output }: Globals
): Promise<void> {
  const { stopMachine } = await import('../../../machine/lifecycle/stop-machine.ts')
  const stopped: { name: string; orderly: boolean }[] = []
  for (const name of names) {
    stopped.push({ name, ...(await stopMachine({ home, name, timeoutMs })) })
  }
  output.result(stopped, () =>
    stopped.map(({ name, orderly }) => (orderly ? name : `${name} (switched off)`))
  )
}

async function remove(
  names: readonly string[],
  force: boolean,
  { home, output }: Globals
): Promise<void> {
  const { removeMachine } = await import('../../../machine/lifecycle/stop-machine.ts')
  for (const name of names) await removeMachine({ home, name, force })
  output.result({ removed: names }, () => names)
}

function lineCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('give a number of lines.')
  return Number(text)
}
