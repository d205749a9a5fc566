import { endPrestarted } from '../../core/host/prestart.ts'
import { Option, type Command } from 'commander'
import { ContainerError } from '../../core/errors.ts'
import type { ContainerVerb } from '../../machine/guest/container-verb.ts'
import type { MachineOptions } from '../../machine/lifecycle/machine-options.ts'
import { DEFAULT_NAME } from '../../machine/state/machine-paths.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import type { ImageReference } from '../../p2p/link.ts'
import { guestWords } from './guest-words.ts'
import { endIsolatedContainers, isolatedAmong } from './isolated-verbs.ts'
import { listEverywhere, type ListFlags } from './list-containers.ts'

/** `always`, `never`, or `auto`: where this machine cannot run containers itself. */
const VARIABLE = 'DAT_CONTAINER_VM'
interface VmFlags {
  readonly vm?: boolean
  readonly machine?: string
  readonly publish?: string[]
  readonly volume?: string[]
  readonly detach?: boolean
  readonly json?: boolean
  readonly name?: string
  readonly rm?: boolean
  readonly ephemeral?: boolean
  readonly isolate?: boolean
  readonly follow?: boolean
  readonly machineMemory?: string
  readonly machineCpus?: string
  readonly machineDisk?: string
}

/** Lets a verb on containers be carried out in a virtual machine. */
export function addVmOptions(program: Command, ...names: string[]): void {
  for (const name of names) {
    const command = program.commands.find((candidate) => candidate.name() === name)
    if (!command) throw new TypeError(`no verb ${name}`)
    command
      .option(
        '--vm',
        'run in a virtual machine (see `machine`); boot starts it. --no-vm: never use one'
      )
      .addOption(new Option('--no-vm').hideHelp())
      .option('--machine <name>', 'use this virtual machine')
    if (name === 'boot') addMachineOptions(command)
  }
}

function addMachineOptions(boot: Command): void {
  boot
    .option(
      '--isolate',
      'run in a virtual machine of its own, with the container’s name and lifetime'
    )
    .option('--machine-memory <size>', 'memory of a machine that boot starts, such as 512M or 2G')
    .option('--machine-cpus <number>', 'number of processors of a machine that boot starts')
    .option('--machine-disk <size>', 'size of the data disk of a machine that boot starts')
}

/** Carries verbs out in a machine, instead of here, where that is asked for or all that there is. */
export function hookVm(program: Command): void {
  program.hook('preAction', async (_program, command) => {
    if (!command.options.some(({ long }) => long === '--vm')) return
    const globals = readGlobals(command)
    const flags = command.opts<VmFlags>()
    checkFlags(flags)
    if (await carriedOutOnIsolated(command, flags, globals)) process.exit()
    if (!(await isForMachine(flags, globals))) return
    // The verb's own action must not follow.
    process.exit(await runInVm(command, flags, globals))
  })
}

/** @throws ContainerError `USAGE` */
function checkFlags(flags: VmFlags): void {
  if (flags.isolate && flags.follow) {
    throw new ContainerError('USAGE', '--isolate excludes --follow', {
      hint: 'a machine of its own ends with its container'
    })
  }
  if (flags.isolate && (flags.vm === false || flags.machine !== undefined)) {
    throw new ContainerError('USAGE', '--isolate starts a machine of its own', {
      hint: 'leave --no-vm and --machine out'
    })
  }
}

/**
 * Carries a verb out on containers that have machines to themselves, or lists those of all machines.
 *
 * @returns whether it did; `process.exitCode` is set then
 * @throws ContainerError `NAME_IN_USE`, and what the verb throws
 */
async function carriedOutOnIsolated(
  command: Command,
  flags: VmFlags,
  globals: Globals
): Promise<boolean> {
  const verb = command.name()
  if (verb === 'boot' && flags.isolate) {
    process.exitCode = await isolate(command, flags, globals)
    return true
  }
  const isElsewhere = flags.vm === false || flags.machine !== undefined
  if (isElsewhere || (flags.vm === undefined && process.env[VARIABLE] === 'never')) return false
  if (verb === 'ps') {
    const here = !(await isForMachine(flags, globals))
    await listEverywhere(command.opts<ListFlags>(), { here, machines: true }, globals)
    return true
  }
  const isEnd = verb === 'stop' || verb === 'kill' || verb === 'rm'
  const names = verb === 'boot' ? [flags.name ?? ''] : command.args.slice(0, isEnd ? undefined : 1)
  const isolated = await isolatedAmong(names, globals.home)
  const [name] = isolated
  if (name === undefined) return false
  if (isEnd) {
    await endIsolatedContainers(verb, names, command.opts(), globals)
    return true
  }
  if (verb === 'boot') {
    throw new ContainerError('NAME_IN_USE', `container ${name} has a machine of its own`, {
      hint: `start it again with --isolate, choose another name with -n, or remove it: dat-container rm ${name}`
    })
  }
  process.exitCode = await runInVm(command, { ...flags, machine: name }, globals)
  return true
}

async function isForMachine(flags: VmFlags, { home }: Globals): Promise<boolean> {
  if (flags.vm !== undefined) return flags.vm
  if (flags.machine !== undefined) return true
  const wanted = process.env[VARIABLE] ?? 'auto'
  if (wanted !== 'auto') return wanted === 'always'
  const { canRunContainers, canRunMachines } =
    await import('../../machine/lifecycle/capabilities.ts')
  if (canRunContainers()) return false
  return process.platform !== 'linux' || canRunMachines(home)
}

async function runInVm(command: Command, flags: VmFlags, globals: Globals): Promise<number> {
  // Nothing is mounted here.
  endPrestarted()
  const { runContainerVerb } = await import('../../machine/guest/container-verb.ts')
  const machine = flags.machine ?? DEFAULT_NAME
  const verb = { ...verbOf(command, flags), home: globals.home, machine }
  if (command.name() !== 'boot') return runContainerVerb(verb)
  const options = await machineOptions(flags)
  const start = async (shares?: readonly string[]): Promise<void> => {
    const { startWatched } = await import('../verbs/machine/machine-start.ts')
    globals.output.note(`starting machine ${machine}: containers run in it`)
    await startWatched(machine, { ...options, shares }, globals)
  }
  return runContainerVerb({ ...verb, start })
}

async function isolate(command: Command, flags: VmFlags, globals: Globals): Promise<number> {
  const { bootIsolated } = await import('./boot-isolated.ts')
  const verb = verbOf(command, flags)
  const boot = {
    verb,
    image: imageOf(command),
    name: flags.name,
    remove: (flags.rm ?? false) || (flags.ephemeral ?? false),
    machine: await machineOptions(flags)
  }
  return bootIsolated(boot, globals)
}

/** What is carried out, wherever that is. */
function verbOf(command: Command, flags: VmFlags): Omit<ContainerVerb, 'home' | 'machine'> {
  const words = {
    words: guestWords(command),
    volumes: flags.volume ?? [],
    forwards: flags.publish ?? [],
    detached: flags.detach ?? false
  }
  if (command.name() !== 'boot') return { ...words, rest: command.args }
  return { ...words, image: imageOf(command), rest: command.args.slice(1) }
}

/** The image of `boot`, which `hookLinks` has parsed. */
function imageOf(boot: Command): ImageReference {
  return boot.processedArgs[0] as ImageReference
}

/** Options of a machine that `boot` starts. */
async function machineOptions(flags: VmFlags): Promise<MachineOptions> {
  const { parseSize } = await import('../../machine/state/byte-size.ts')
  const { machineMemory: memory, machineCpus: cpus, machineDisk: disk } = flags
  return {
    memoryBytes: memory === undefined ? undefined : parseSize(memory),
    cpus: cpus === undefined ? undefined : Number(cpus),
    diskBytes: disk === undefined ? undefined : disk === 'none' ? 0 : parseSize(disk)
  }
}
