import { Option, type Command } from 'commander'
import { BOOTSTRAP_VARIABLE } from '../../../rpc/bootstrap.ts'
import { ContainerError } from '../../../core/errors.ts'
import type { MachineOptions } from '../../../machine/lifecycle/machine-options.ts'
import { DEFAULT_NAME } from '../../../machine/state/machine-paths.ts'
import type { StartedMachine } from '../../../machine/lifecycle/start-machine.ts'
import { collect, durationOption, oneOf } from '../../parse/arguments.ts'
import { readGlobals, type Globals } from '../../parse/globals.ts'
import { interruptible } from '../../print/interrupt.ts'
import { printable } from '../../print/output.ts'
import { statusLine } from '../../print/status-line.ts'

interface StartFlags {
  readonly memory?: string
  readonly cpus?: string
  readonly arch?: 'amd64' | 'arm64' | 'x86_64' | 'aarch64'
  readonly disk?: string
  readonly encrypt?: boolean
  readonly keyFile?: string
  readonly accel?: 'auto' | 'kvm' | 'hvf' | 'whpx' | 'tcg'
  readonly type?: 'auto' | 'q35' | 'microvm' | 'virt'
  readonly publish?: string[]
  readonly share?: string[]
  readonly kernel?: string
  readonly initrd?: string
  readonly append?: string
  readonly pubkey?: string
  readonly timeout?: number
}

/** Names the key that images must be signed by. */
export const PUBLIC_KEY_VARIABLE = 'DAT_CONTAINER_OS_PUBKEY'

/** `machine start` and `machine restart`. */
export function addMachineStart(machine: Command): void {
  machine
    .command('start')
    .description('create a machine if needed, start it, and return when root can log in')
    .argument('[name]', 'the machine', DEFAULT_NAME)
    .option('--memory <size>', 'memory, such as 512M or 2G (new machines: 1G)')
    .option('--cpus <number>', 'number of processors (new machines: at most 2)')
    .addOption(
      new Option(
        '--arch <name>',
        'amd64 or arm64; a foreign architecture is emulated in software'
      ).argParser(oneOf('amd64', 'arm64', 'x86_64', 'aarch64'))
    )
    .option('--disk <size>', 'size of the data disk, which can only grow; none for no disk (16G)')
    .option('--encrypt', 'encrypt a new data disk with a key that is stored in the home')
    .option('--key-file <file>', 'encrypt it with this key, which is not stored')
    .addOption(
      new Option('--accel <name>', 'accelerator: auto, kvm, hvf, whpx or tcg (software)').argParser(
        oneOf('auto', 'kvm', 'hvf', 'whpx', 'tcg')
      )
    )
    .addOption(
      new Option('--type <name>', 'QEMU machine type: auto, q35, microvm or virt').argParser(
        oneOf('auto', 'q35', 'microvm', 'virt')
      )
    )
    .option('-p, --publish <[ip:]host:guest[/udp]>', 'forward a port (repeatable)', collect)
    .option(
      '--share <dir[:target][:ro]>',
      'share a directory with the machine (repeatable)',
      collect
    )
    .option('--kernel <file>', 'start this kernel instead of the HyperOS image; needs --initrd')
    .option('--initrd <file>', 'the initrd that goes with --kernel')
    .option('--append <words>', 'append this to the kernel command line')
    .option('--pubkey <key>', 'require a signature of the image by this minisign key, or key file')
    .addOption(
      durationOption(
        '--timeout <duration>',
        'how long to wait until root can log in (2m; emulated 10m)'
      )
    )
    .addHelpText(
      'after',
      '\nOptions that you leave out keep their values from the last start.\n' +
        '\nExamples:\n  dat-container machine start\n' +
        '  dat-container machine start web --memory 2G -p 8080:80 --share ./site:/srv:ro'
    )
    .action(async (name: string, flags: StartFlags, command: Command) => {
      await start(name, flags, readGlobals(command))
    })
  machine
    .command('restart')
    .description('stop a machine if it runs, and start it with the same settings')
    .argument('[name]', 'the machine', DEFAULT_NAME)
    .addOption(
      durationOption('-t, --time <duration>', 'how long a clean shutdown may take', 60_000)
    )
    .option('--pubkey <key>', 'require a signature of the image by this minisign key, or key file')
    .addOption(
      durationOption(
        '--timeout <duration>',
        'how long to wait until root can log in (2m; emulated 10m)'
      )
    )
    .addHelpText('after', '\nExample:\n  dat-container machine restart web')
    .action(async (name: string, flags: StartFlags & { time: number }, command: Command) => {
      const globals = readGlobals(command)
      await stopFirst(name, flags.time, globals)
      await start(name, flags, globals)
    })
}

async function stopFirst(name: string, timeoutMs: number, { home }: Globals): Promise<void> {
  const { machineHome, machinePaths } = await import('../../../machine/state/machine-paths.ts')
  const { readLiveState, requireConfig } = await import('../../../machine/state/machine-record.ts')
  const paths = machinePaths(machineHome(home), name)
  await requireConfig(paths)
  if ((await readLiveState(paths)) === undefined) return
  const { stopMachine } = await import('../../../machine/lifecycle/stop-machine.ts')
  await stopMachine({ home, name, timeoutMs })
}

async function start(name: string, flags: StartFlags, globals: Globals): Promise<void> {
  const started = await startWatched(name, await readOptions(flags), globals, flags)
  globals.output.result(started, () => describe(started))
}

/** Starts a machine; on a terminal, with a line that tells how far it is. Ctrl-C undoes the start. */
export async function startWatched(
  name: string,
  options: MachineOptions,
  { home, output }: Globals,
  flags: Pick<StartFlags, 'timeout' | 'pubkey'> = {}
): Promise<StartedMachine> {
  const { startMachine } = await import('../../../machine/lifecycle/start-machine.ts')
  return await interruptible(async (signal) => {
    using line = statusLine(output.json)
    return startMachine({
      home,
      name,
      options,
      signal,
      timeoutMs: flags.timeout,
      publicKey: flags.pubkey ?? (process.env[PUBLIC_KEY_VARIABLE] || undefined),
      bootstrap: process.env[BOOTSTRAP_VARIABLE] || undefined,
      events: {
        onNotice(text) {
          line.clear()
          output.note(`note: ${printable(text)}`)
        },
        onProgress({ elapsedMs, lastLine }) {
          const seconds = Math.round(elapsedMs / 1000)
          line.show(`starting ${name}, ${seconds} s: ${printable(lastLine)}`)
        },
        onFailure(lines) {
          line.clear()
          if (lines.length > 0) output.note('the guest said last:')
          for (const text of lines) output.note(`  ${printable(text)}`)
        }
      }
    })
  })
}

function describe({ name, accel, ip, sshPort, readyMs }: StartedMachine): string[] {
  const seconds = ((readyMs ?? 0) / 1000).toFixed(1)
  return [
    `machine ${name} runs (${accel}); ssh answered after ${seconds} s at ${ip}, port ${sshPort}`,
    `get in: dat-container machine ssh ${name}`
  ]
}

async function readOptions(flags: StartFlags): Promise<MachineOptions> {
  if (flags.encrypt && flags.keyFile !== undefined) {
    throw new ContainerError('USAGE', '--encrypt and --key-file exclude each other', {
      hint: '--encrypt alone makes a key and stores it in the home'
    })
  }
  const { parseSize } = await import('../../../machine/state/byte-size.ts')
  const { ARCHITECTURES } = await import('../../../machine/state/machine-types.ts')
  const size = (text: string | undefined): number | undefined =>
    text === undefined ? undefined : parseSize(text)
  return {
    memoryBytes: size(flags.memory),
    cpus: flags.cpus === undefined ? undefined : Number(flags.cpus),
    architecture: flags.arch === undefined ? undefined : ARCHITECTURES[flags.arch],
    diskBytes: flags.disk === 'none' || flags.disk === '0' ? 0 : size(flags.disk),
    accelerator: flags.accel,
    type: flags.type,
    forwards: flags.publish,
    shares: flags.share,
    kernel: flags.kernel,
    initrd: flags.initrd,
    append: flags.append,
    encrypt: flags.encrypt,
    keyFile: flags.keyFile
  }
}
