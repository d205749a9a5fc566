import type { Command } from 'commander'
import { readGlobals } from '../globals.ts'

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a completion script for bash; zsh reads it with bashcompinit')
    .addHelpText('after', '\nExample:\n  source <(dat-container completion)')
    .action((_flags: object, command: Command) => {
      const script = completionScript(program)
      readGlobals(command).output.result({ script }, () => script.split('\n'))
    })
}

function caseFor(pattern: string, command: Command): string {
  const words = [
    ...command.commands.map((inner) => inner.name()),
    ...command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
    ...command.options.flatMap((option) => [option.short, option.long].filter(Boolean))
  ]
  return `    ${pattern}) words='${words.join(' ')}' ;;`
}

/** Completes verbs, their subcommands, words and flags, from the program's own definition. */
function completionScript(program: Command): string {
  const shown = program.createHelp().visibleCommands(program)
  const known = program.commands.filter((verb) => shown.includes(verb))
  const cases = known.flatMap((verb) => [
    // First, as the first pattern that fits is taken: flags of a subcommand that is there.
    ...verb.commands.map((inner) => caseFor(`'${verb.name()} ${inner.name()} '`, inner)),
    caseFor([verb.name(), ...verb.aliases()].map((name) => `${name}' '*`).join('|'), verb)
  ])
  const verbs = known.map((verb) => verb.name()).join(' ')
  return `_dat_container() {
  local words inner word=\${COMP_WORDS[COMP_CWORD]}
  [ "$COMP_CWORD" -gt 2 ] && inner=\${COMP_WORDS[2]}
  case "\${COMP_WORDS[1]} $inner " in
${cases.join('\n')}
    *) words='' ;;
  esac
  [ "$COMP_CWORD" = 1 ] && words='${verbs} help'
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [ \${#COMPREPLY[@]} = 0 ] && COMPREPLY=($(compgen -f -- "$word"))
}
complete -F _dat_container dat-container`
}
