import { ContainerError } from '../../../core/errors.ts'
import type { Command } from 'commander'
import { collect } from '../../parse/arguments.ts'
import { readGlobals } from '../../parse/globals.ts'
import { sayOptionsPlace } from '../../parse/usage-errors.ts'

interface ExecFlags {
  readonly interactive?: boolean
  readonly tty?: boolean
  readonly env?: string[]
  readonly workdir?: string
  readonly user?: string
  readonly privileged?: boolean
}

const HELP = `
The command has what the container's own processes have: namespaces, cgroup,
seccomp filter, capabilities, no-new-privileges, resource limits, and the variables
that the container was started with.

--privileged gives it every capability and no seccomp filter; it stays in the
container's namespaces, with its files, users and network. A program of the container
can take over a command that runs beside it: use it where you trust the image.

Example:
  dat-container exec -it web -- bash`

const OPTIONS_PLACE =
  'an option of the command in the container? put it after the name: exec NAME -- COMMAND'

export function addExec(program: Command): void {
  sayOptionsPlace(program.command('exec'), OPTIONS_PLACE)
    .description('run a command in a running container')
    .argument('<name>', 'the container')
    .argument('<command...>', 'what to run; put -- before it')
    .option('-i, --interactive', 'pass stdin to the command')
    .option('-t, --tty', 'give the command a terminal')
    .option('-e, --env <name=value>', 'set a variable (repeatable)', collect)
    .option('-w, --workdir <dir>', 'working directory (default: that of the container’s command)')
    .option('-u, --user <user>', "as whom it runs; else as the container's command, or root")
    .option('--privileged', 'without the container’s limits; see below')
    .passThroughOptions()
    .addHelpText('after', HELP)
    .action(async (name: string, argv: string[], flags: ExecFlags, command: Command) => {
      // What follows the name is passed through untouched, the -- before it too.
      const words = argv[0] === '--' ? argv.slice(1) : argv
      if (words.length === 0) {
        throw new ContainerError('USAGE', 'no command was given', {
          hint: 'write it as exec NAME -- COMMAND'
        })
      }
      const { execInContainer } = await import('../../../boot/containers/exec.ts')
      process.exitCode = await execInContainer({
        home: readGlobals(command).home,
        name,
        argv: words,
        tty: flags.tty ?? false,
        privileged: flags.privileged ?? false,
        stdio: [flags.interactive || flags.tty ? 'inherit' : 'ignore', 'inherit', 'inherit'],
        ...(flags.env === undefined ? {} : { env: flags.env }),
        ...(flags.workdir === undefined ? {} : { cwd: flags.workdir }),
        ...(flags.user === undefined ? {} : { user: flags.user })
      })
    })
}
