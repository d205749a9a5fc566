import type { Command } from 'commander'
import { ContainerError } from '../../core/errors.ts'

/** Arguments that are paths of this machine: empty ones would be the working directory. */
const PATHS = new Set(['source', 'directory', 'file', 'folder'])

/** Refuses an empty path before a verb is carried out: in a script it is a variable that is not set. */
export function hookEmptyArguments(program: Command): void {
  program.hook('preAction', (_program, command) => {
    for (const [n, argument] of command.registeredArguments.entries()) {
      if (PATHS.has(argument.name()) && command.args[n] === '') throw isEmpty(argument.name())
    }
    if (command.optsWithGlobals<{ home?: string }>().home === '') throw isEmpty('--home')
  })
}

function isEmpty(what: string): ContainerError {
  return new ContainerError('USAGE', `an empty ${what} was given`, {
    hint: 'name one; in a script, is the variable set?'
  })
}
