import { Option, type Command } from 'commander'
import type { ContainerVerb } from '../machine/container-verb.ts'
import { DEFAULT_NAME } from '../machine/machine-paths.ts'
import { readGlobals, type Globals } from './globals.ts'

/** `always`, `never`, or `auto`: where this machine cannot run containers itself. */
const VARIABLE = 'DAT_CONTAINER_VM'
/** Of `boot`: what this machine has to do with. */
const HERE = new Set(['vm', 'machine', 'publish', 'volume'])
/** Given to the guest's command too. */
const PASSED_GLOBALS = ['json'] as const

interface VmFlags {
  readonly vm?: boolean
  readonly machine?: string
  readonly publish?: string[]
  readonly volume?: string[]
  readonly detach?: boolean
  readonly json?: boolean
}

/** Lets a verb on containers be carried out in a virtual machine. */
export function addVmOptions(program: Command, ...names: string[]): void {
  for (const name of names) {
    const command = program.commands.find((candidate) => candidate.name() === name)
    if (!command) throw new TypeError(`no verb ${name}`)
    command
      .option('--vm', 'in a machine (see `machine`), which boot starts; --no-vm: never')
      .addOption(new Option('--no-vm').hideHelp())
      .option('--machine <name>', 'in this machine')
  }
}

/** Carries verbs out in a machine, instead of here, where that is asked for or all that there is. */
export function hookVm(program: Command): void {
  program.hook('preAction', async (_program, command) => {
    if (!command.options.some(({ long }) => long === '--vm')) return
    const globals = readGlobals(command)
    const flags = command.opts<VmFlags>()
    if (!(await isForMachine(flags, globals))) return
    // The verb's own action must not follow.
    process.exit(await runInVm(command, flags, globals))
  })
}

async function isForMachine(flags: VmFlags, { home }: Globals): Promise<boolean> {
  if (flags.vm !== undefined) return flags.vm
  if (flags.machine !== undefined) return true
  const wanted = process.env[VARIABLE] ?? 'auto'
  if (wanted !== 'auto') return wanted === 'always'
  const { canRunContainers, canRunMachines } = await import('../machine/host-ability.ts')
  if (canRunContainers()) return false
  return process.platform !== 'linux' || canRunMachines(home)
}

async function runInVm(command: Command, flags: VmFlags, globals: Globals): Promise<number> {
  const { runContainerVerb } = await import('../machine/container-verb.ts')
  const machine = flags.machine ?? DEFAULT_NAME
  const verb: ContainerVerb = {
    home: globals.home,
    machine,
    words: wordsOf(command),
    rest: command.args,
    volumes: flags.volume ?? [],
    forwards: flags.publish ?? [],
    detached: flags.detach ?? false
  }
  if (command.name() !== 'boot') return runContainerVerb(verb)
  const [image, ...rest] = command.args
  const startMachine = (shares?: readonly string[]): Promise<void> =>
    start(machine, shares, globals)
  return runContainerVerb({ ...verb, image, rest, start: startMachine })
}

async function start(
  machine: string,
  shares: readonly string[] | undefined,
  globals: Globals
): Promise<void> {
  const { startWatched } = await import('./verbs/machine-start.ts')
  globals.output.note(`starting machine ${machine}: containers run in it`)
  await startWatched(machine, { shares }, globals)
}

/** The verb and the options that were given, as the guest's command reads them. */
function wordsOf(command: Command): string[] {
  const words = [command.name()]
  for (const option of command.options) {
    const name = option.attributeName()
    if (HERE.has(name) || command.getOptionValueSource(name) !== 'cli') continue
    if (option.hidden && !(PASSED_GLOBALS as readonly string[]).includes(name)) continue
    const value: unknown = command.getOptionValue(name)
    if (option.isBoolean()) {
      if ((value === false) === option.negate) words.push(option.long ?? '')
      continue
    }
    for (const each of Array.isArray(value) ? (value as unknown[]) : [value]) {
      // Durations have been read: they are milliseconds.
      words.push(`${option.long}=${typeof each === 'number' ? `${each}ms` : String(each)}`)
    }
  }
  if (command.optsWithGlobals<VmFlags>().json && !words.includes('--json')) words.push('--json')
  return words
}
