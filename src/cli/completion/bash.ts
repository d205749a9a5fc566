import { NAMED_BY, type CompletedVerb } from './completed-verbs.ts'

/** A script that completes in bash. It makes no words of the shell of names, which come from others. */
export function bashCompletion(verbs: readonly CompletedVerb[]): string {
  // First the longer ones, as the first pattern that fits is taken.
  const cases = verbs.toSorted((a, b) => b.path.length - a.path.length).map(caseFor)
  const top = verbs.filter(({ path }) => path.length === 1).flatMap(({ path }) => path)
  const options = Object.entries(NAMED_BY).map(
    ([option, kind]) => `    ${option}) flags= words= names=${kind} ;;`
  )
  return `_dat_container() {
  local flags= words= names= inner= name word=\${COMP_WORDS[COMP_CWORD]}
  [ "$COMP_CWORD" -gt 2 ] && inner=\${COMP_WORDS[2]}
  case "\${COMP_WORDS[1]} $inner " in
${cases.join('\n')}
  esac
  [ "$COMP_CWORD" = 1 ] && flags= words='${top.join(' ')} help' names=
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
${options.join('\n')}
  esac
  COMPREPLY=()
  case "$word" in -*) words=$flags names= ;; esac
  for name in $words; do
    [[ $name == "$word"* ]] && COMPREPLY+=("$name")
  done
  if [ -n "$names" ]; then
    while IFS= read -r name; do
      [[ $name == "$word"* ]] && COMPREPLY+=("$name")
    done < <("$1" completion --names "$names" 2> /dev/null)
  fi
  [ \${#COMPREPLY[@]} = 0 ] && mapfile -t COMPREPLY < <(compgen -f -- "$word")
}
complete -F _dat_container dat-container`
}

function caseFor({ path, aliases, flags, words, names }: CompletedVerb): string {
  const [verb, inner] = path
  const pattern =
    inner === undefined
      ? [verb, ...aliases].map((name) => `${name}' '*`).join('|')
      : [inner, ...aliases].map((name) => `'${verb} ${name} '`).join('|')
  const texts = flags.flatMap(({ spellings }) => spellings).join(' ')
  return `    ${pattern}) flags='${texts}' words='${words.map(({ text }) => text).join(' ')}' names=${names ?? ''} ;;`
}
