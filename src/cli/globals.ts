import type { Command } from 'commander'
import { BOOTSTRAP_VARIABLE, parseBootstrap } from '../daemon/bootstrap.ts'
import { defaultHome } from '../daemon/home.ts'
import { createOutput, type Output } from './output.ts'

/** What every command has: where the state is and how to talk. */
export interface Globals {
  readonly home: string
  readonly output: Output
}

export function addGlobalOptions(program: Command): Command {
  return program
    .option('--json', 'print one JSON document on stdout')
    .option('--home <dir>', 'where images, containers and the daemon keep their state')
    .option('--bootstrap <host:port,…>', 'use a private DHT (see `dht`)')
    .option('--log-level <level>', 'of a daemon that this command starts')
}

/** Reads the global options. Processes that this one starts get them through the environment. */
export function readGlobals(command: Command): Globals {
  const options = command.optsWithGlobals<{
    json?: boolean
    home?: string
    bootstrap?: string
    logLevel?: string
  }>()
  if (options.bootstrap !== undefined) {
    parseBootstrap(options.bootstrap)
    process.env[BOOTSTRAP_VARIABLE] = options.bootstrap
  }
  if (options.logLevel !== undefined) process.env['DAT_CONTAINER_LOG_LEVEL'] = options.logLevel
  if (options.home !== undefined) process.env['DAT_CONTAINER_HOME'] = options.home
  return { home: defaultHome(), output: createOutput(options.json ?? false) }
}
