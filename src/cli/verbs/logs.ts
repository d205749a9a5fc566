import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { readGlobals } from '../globals.ts'
import { interruptible } from '../interrupt.ts'
import { writeStdout } from '../stdout.ts'

export function addLogs(program: Command): void {
  program
    .command('logs')
    .description('print what a detached container wrote to its console')
    .argument('<name>', 'the container')
    .option('-f, --follow', 'go on until the container ends')
    .option('--tail <lines>', 'start with the last lines', lineCount)
    .addHelpText('after', '\nExample:\n  dat-container logs --tail 20 -f web')
    .action(async (name: string, flags: { follow?: boolean; tail?: number }, command: Command) => {
      const { readLogs } = await import('../../boot/logs.ts')
      const { home } = readGlobals(command)
      await interruptible(async (signal) => {
        const options = { home, name, follow: flags.follow ?? false, signal }
        const tail = flags.tail === undefined ? {} : { tail: flags.tail }
        for await (const part of readLogs({ ...options, ...tail })) {
          await writeStdout(part, signal)
        }
      })
    })
}

function lineCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('give a number of lines.')
  return Number(text)
}
