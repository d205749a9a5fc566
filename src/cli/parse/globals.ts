import { Option, type Command } from 'commander'
import { BOOTSTRAP_VARIABLE, parseBootstrap } from '../../rpc/bootstrap.ts'
import { defaultHome } from '../../home/home.ts'
import { createOutput, type Output } from '../print/output.ts'

/** What every command has: where the state is and how to talk. */
export interface Globals {
  readonly home: string
  readonly output: Output
  /** Whether full links are printed. */
  readonly links: boolean
}

const GLOBAL_OPTIONS: readonly (readonly [flags: string, description: string])[] = [
  ['--json', 'print one JSON document on stdout'],
  ['--home <dir>', 'directory for images, containers and the daemon’s state'],
  ['--bootstrap <host:port,…>', 'use a private DHT (see `dht`)'],
  ['--log-level <level>', 'log level of a daemon that this command starts']
]

/** Adds the options that every command takes, before its name or after it. */
export function addGlobalOptions(program: Command): void {
  for (const [flags, description] of GLOBAL_OPTIONS) program.option(flags, description)
  for (const command of program.commands) addHiddenGlobals(command)
}

function addHiddenGlobals(command: Command): void {
  for (const [flags, description] of GLOBAL_OPTIONS) {
    command.addOption(new Option(flags, description).hideHelp())
  }
  for (const inner of command.commands) addHiddenGlobals(inner)
}

/** Lets verbs that tell of links tell them whole; else they are mirror links. */
export function addLinksOption(program: Command, ...names: string[]): void {
  for (const command of program.commands) {
    if (!names.includes(command.name())) continue
    command.option('--links', 'print full links, with the secrets that can read images')
  }
}

/** Reads the global options. Processes that this one starts get them through the environment. */
export function readGlobals(command: Command): Globals {
  const options = command.optsWithGlobals<{
    json?: boolean
    home?: string
    bootstrap?: string
    logLevel?: string
    links?: boolean
  }>()
  if (options.bootstrap !== undefined) {
    parseBootstrap(options.bootstrap)
    process.env[BOOTSTRAP_VARIABLE] = options.bootstrap
  }
  if (options.logLevel !== undefined) process.env['DAT_CONTAINER_LOG_LEVEL'] = options.logLevel
  if (options.home !== undefined) process.env['DAT_CONTAINER_HOME'] = options.home
  // Links are what `share` and `channel create` are for.
  const links = options.links ?? ['share', 'create'].includes(command.name())
  const dht = options.links === true ? parseBootstrap(process.env[BOOTSTRAP_VARIABLE]) : undefined
  const output = createOutput({ json: options.json ?? false, links, ...(dht ? { dht } : {}) })
  return { home: defaultHome(), output, links }
}
