import { Command, CommanderError } from 'commander'
import { RELEASE } from '../rpc/release.ts'
import { isContainerError } from '../core/errors.ts'
import { checkConfig } from './parse/check-config.ts'
import { CONFIG_KEYS, type Config } from './parse/config-file.ts'
import { EXIT_FAILED, EXIT_USAGE, exitStatus } from './print/exit-status.ts'
import { addGlobalOptions, addLinksOption } from './parse/globals.ts'
import { hookEmptyArguments } from './parse/empty-arguments.ts'
import { hookLinuxVerbs } from './parse/linux-verbs.ts'
import { addLinkOptions, hookLinks, withLinkPlace } from './parse/link-argument.ts'
import { hookBootstrap } from './parse/other-dht.ts'
import { printError } from './print/output.ts'
import { ReaderGone } from './print/stdout.ts'
import { hookPeerTimeout } from './parse/peer-timeout.ts'
import { hookChannels } from './parse/resolve-channels.ts'
import { printUsageError, sayUsageErrors, wantsJson } from './parse/usage-errors.ts'
import { VERBS } from './verbs.ts'
import { addVmOptions, hookVm } from './isolate/vm.ts'

const CONFIG_HELP = `
Settings are lines KEY = VALUE in ~/.config/dat-container.conf, or for all users in /etc/dat-container.conf. Keys are
${Object.keys(CONFIG_KEYS).join(', ')}.
Options override the environment (such as DAT_CONTAINER_HOME), which overrides the first file, which overrides the second.`

/** Every verb with its options and texts; nothing is carried out. */
export function createProgram(): Command {
  const program = sayUsageErrors(new Command('dat-container'))
    .description(
      'Share machine images peer to peer, and boot them before they have been downloaded.'
    )
    .version(RELEASE)
    .enablePositionalOptions()
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', CONFIG_HELP)
    .exitOverride()

  for (const add of VERBS) add(program)
  addLinkOptions(program)
  addLinksOption(
    program,
    ...[
      'boot',
      'ps',
      'inspect',
      'pull',
      'info',
      'images',
      'unseed',
      'mirror',
      'seed',
      'pin',
      'unpin'
    ]
  )
  addVmOptions(program, ...['boot', 'ps', 'inspect', 'stop', 'kill', 'rm', 'exec', 'logs', 'stats'])
  addGlobalOptions(program)
  return program
}

/**
 * Parses the command line and carries out what it says; sets the exit status.
 *
 * @param config what configuration files say, which is in the environment already
 */
export async function runProgram(config: Config): Promise<void> {
  const program = createProgram()
  program.hook('preAction', () => checkConfig(config))
  hookEmptyArguments(program)
  hookLinks(program)
  hookBootstrap(program)
  hookPeerTimeout(program)
  hookChannels(program)
  hookVm(program)
  hookLinuxVerbs(program, process.platform)

  try {
    checkHelpVerb(program, process.argv.slice(2))
    await program.parseAsync(withLinkPlace(program, process.argv.slice(2)), { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE
      if (error.exitCode !== 0) printUsageError(error)
    } else if (!(error instanceof ReaderGone)) {
      printError(error, wantsJson())
      process.exitCode = isContainerError(error) ? exitStatus(error.code) : EXIT_FAILED
      if (!isContainerError(error) && process.env['DAT_CONTAINER_LOG_LEVEL'] === 'debug')
        throw error
    }
  }
}

/** Commander gives the help of everything for a verb that there is not, and says nothing of that. */
function checkHelpVerb(program: Command, args: readonly string[]): void {
  const [help, verb] = args.filter((word) => !word.startsWith('-'))
  if (help !== 'help' || verb === undefined) return
  const isKnown = program.commands.some((it) => [it.name(), ...it.aliases()].includes(verb))
  if (!isKnown && verb !== 'help') program.error(`error: unknown command '${verb}'`)
}
