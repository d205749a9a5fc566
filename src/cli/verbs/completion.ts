import { Argument, Option, type Command } from 'commander'
import { NAME_KINDS, type NameKind } from '../completion/known-names.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const

type Shell = (typeof SHELLS)[number]

const EXAMPLES = `
It also completes names of images, containers and machines.

Examples:
  source <(dat-container completion bash)                   in ~/.bashrc
  source <(dat-container completion zsh)                    in ~/.zshrc, behind compinit
  dat-container completion fish > ~/.config/fish/completions/dat-container.fish`

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a shell completion script')
    .addArgument(new Argument('[shell]', 'which').choices(SHELLS).default('bash'))
    .addOption(
      new Option('--names <kind>', 'the names that this home knows').choices(NAME_KINDS).hideHelp()
    )
    .addHelpText('after', EXAMPLES)
    .action(async (shell: Shell, flags: { names?: NameKind }, command: Command) => {
      if (flags.names === undefined) return printScript(shell, program, readGlobals(command))
      return printNames(flags.names, readGlobals(command))
    })
}

async function printScript(shell: Shell, program: Command, { output }: Globals): Promise<void> {
  const { completedVerbs } = await import('../completion/completed-verbs.ts')
  const { bashCompletion } = await import('../completion/bash.ts')
  const { fishCompletion } = await import('../completion/fish.ts')
  const { zshCompletion } = await import('../completion/zsh.ts')
  const render = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion }[shell]
  const script = render(completedVerbs(program))
  output.result({ script }, () => script.split('\n'))
}

async function printNames(kind: NameKind, { home, output }: Globals): Promise<void> {
  const { knownNames } = await import('../completion/known-names.ts')
  const names = await knownNames(kind, home)
  output.result(names, () => names)
}
