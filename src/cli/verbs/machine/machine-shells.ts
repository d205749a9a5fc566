import type { Command } from 'commander'
import { DEFAULT_NAME } from '../../../machine/state/machine-paths.ts'
import { readGlobals } from '../../parse/globals.ts'

/** `machine ssh` and `machine exec`. */
export function addMachineShells(machine: Command): void {
  machine
    .command('ssh')
    .description('log in to a machine as root, or run a command line in its shell')
    .argument('[words...]', 'the machine; after --, a command line for its shell')
    .addHelpText(
      'after',
      "\nExamples:\n  dat-container machine ssh web\n  dat-container machine ssh web -- 'ps aux | grep node'"
    )
    .action(async (words: string[], _flags: object, command: Command) => {
      const { runInMachine, splitNameAndCommand } =
        await import('../../../machine/guest/reach-machine.ts')
      const { home } = readGlobals(command)
      const given = splitNameAndCommand(words, wordsAfterDashes(words), DEFAULT_NAME)
      const line = given.command.join(' ')
      process.exitCode = await runInMachine({
        home,
        name: given.name,
        ...(line === '' ? {} : { command: line })
      })
    })
  machine
    .command('exec')
    .description('run a command in a machine, without a shell')
    .argument('<name>', 'the machine')
    .argument('<command...>', 'what to run; put -- before it')
    .option('-i, --interactive', 'pass stdin to the command')
    .option('-t, --tty', 'give the command a terminal')
    .passThroughOptions()
    .addHelpText('after', '\nExample:\n  dat-container machine exec web -- systemctl status')
    .action(
      async (
        name: string,
        argv: string[],
        flags: { interactive?: boolean; tty?: boolean },
        command: Command
      ) => {
        const { runInMachine } = await import('../../../machine/guest/reach-machine.ts')
        process.exitCode = await runInMachine({
          home: readGlobals(command).home,
          name,
          argv: argv[0] === '--' ? argv.slice(1) : argv,
          tty: flags.tty ? 'always' : 'never',
          noInput: !(flags.interactive || flags.tty)
        })
      }
    )
}

/** How many of a command's words came after `--`, which commander does not tell. */
function wordsAfterDashes(words: readonly string[]): number | undefined {
  const at = process.argv.indexOf('--')
  return at === -1 ? undefined : Math.min(words.length, process.argv.length - at - 1)
}
