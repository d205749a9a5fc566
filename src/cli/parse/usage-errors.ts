import type { Command, CommanderError } from 'commander'
import { ContainerError } from '../../core/errors.ts'
import { printError, writeAll } from '../print/output.ts'

const MORE = 'see dat-container help COMMAND'

/** Whether errors are to be JSON, by a command line that may not even parse: what follows `--` is of another command. */
export function wantsJson(args: readonly string[] = process.argv.slice(2)): boolean {
  const end = args.indexOf('--')
  return args.slice(0, end === -1 ? undefined : end).includes('--json')
}

/** Has a program, and all verbs that it gets later, say what is wrong with a command line in words; with `--json` nothing. */
export function sayUsageErrors(program: Command): Command {
  return program.showHelpAfterError(`(${MORE})`).configureOutput({
    writeOut: (text) => writeAll(1, text),
    writeErr: (text) => {
      if (!wantsJson()) writeAll(2, text)
    }
  })
}

/** Says of an option that a verb does not know where an option of a command in a container is to stand. */
export function sayOptionsPlace(verb: Command, place: string): Command {
  return verb.showHelpAfterError(`(see dat-container help ${verb.name()})`).configureOutput({
    outputError: (text, write) => {
      write(text)
      if (text.includes('unknown option')) write(`(${place})\n`)
    }
  })
}

/** What {@link sayUsageErrors} says in words, as a document. */
export function printUsageError({ code, message }: CommanderError): void {
  if (!wantsJson()) return
  const isHelp = code === 'commander.help'
  const [first = '', hint = `(${MORE})`] = isHelp ? ['no verb is given'] : message.split('\n')
  const text = first.replace(/^error: /, '')
  printError(new ContainerError('USAGE', text, { hint: hint.replace(/^\((.*)\)$/, '$1') }), true)
}
