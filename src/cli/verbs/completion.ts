import type { Command } from 'commander'
import { readGlobals } from '../globals.ts'

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a completion script for bash; zsh reads it with bashcompinit')
    .addHelpText('after', '\nExample:\n  source <(dat-container completion)')
    .action((_flags: object, command: Command) => {
      const script = completionScript(program)
      readGlobals(command).output.result({ script }, () => [script])
    })
}

/** Completes verbs, their subcommands, words and flags, from the program's own definition. */
function completionScript(program: Command): string {
  const cases = program.commands.map((verb) => {
    const words = [
      ...verb.commands.map((inner) => inner.name()),
      ...verb.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
      ...verb.options.flatMap((option) => [option.short, option.long].filter(Boolean))
    ]
    return `    ${[verb.name(), ...verb.aliases()].join('|')}) words='${words.join(' ')}' ;;`
  })
  const verbs = program.commands.map((verb) => verb.name()).join(' ')
  return `_dat_container() {
  local words word=\${COMP_WORDS[COMP_CWORD]}
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
    *) words='' ;;
  esac
  [ "$COMP_CWORD" = 1 ] && words='${verbs} help'
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [ \${#COMPREPLY[@]} = 0 ] && COMPREPLY=($(compgen -f -- "$word"))
}
complete -F _dat_container dat-container`
}
