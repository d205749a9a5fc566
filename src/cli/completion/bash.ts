import { NAMED_BY, VALUED_GLOBALS, type CompletedVerb, type Flag } from './completed-verbs.ts'

/** A script that completes in bash. It makes no words of the shell of names, which come from others. */
export function bashCompletion(verbs: readonly CompletedVerb[]): string {
  // First the longer ones, as the first pattern that fits is taken.
  const cases = verbs.toSorted((a, b) => b.path.length - a.path.length).map(caseFor)
  const top = verbs.filter(({ path }) => path.length === 1).flatMap(({ path }) => path)
  const options = Object.entries(NAMED_BY).map(
    ([option, kind]) => `    ${option}) names=${kind} ;;`
  )
  return `_dat_container() {
  local flags= words= names= valued= values= verb= inner= home= glue= name n
  local -a line=()
  local word=\${COMP_WORDS[COMP_CWORD]}
  [ "$word" = = ] && word=
  # bash takes = and : for words of their own.
  for ((n = 1; n < COMP_CWORD; n++)); do
    name=\${COMP_WORDS[n]}
    case $name in
      =) ;;
      :) glue=1; line[\${#line[@]}-1]+=: ;;
      *) if [ -n "$glue" ]; then line[\${#line[@]}-1]+=$name; glue=; else line+=("$name"); fi ;;
    esac
  done
  for ((n = 0; n < \${#line[@]}; n++)); do
    case \${line[n]} in
      --) COMPREPLY=(); mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
      --home) n=$((n + 1)); home=\${line[n]} ;;
      ${VALUED_GLOBALS.join('|')}) n=$((n + 1)) ;;
      -*) ;;
      *) if [ -z "$verb" ]; then verb=\${line[n]}; elif [ -z "$inner" ]; then inner=\${line[n]}; fi ;;
    esac
  done
  local prev=
  [ \${#line[@]} -gt 0 ] && prev=\${line[\${#line[@]}-1]}
  case "$verb $inner " in
    ' '*) flags='--version --help --json ${VALUED_GLOBALS.join(' ')}' words='${top.join(' ')} help' valued='${VALUED_GLOBALS.join(' ')}' ;;
    'help '*) words='${top.join(' ')}' ;;
${cases.join('\n')}
  esac
  if [[ " $valued " == *" $prev "* && -n $prev ]]; then
    flags= words=$values names=
    case $prev in
  ${options.join('\n  ')}
    esac
  fi
  COMPREPLY=()
  case "$word" in -*) words=$flags names= ;; esac
  for name in $words; do
    [[ $name == "$word"* ]] && COMPREPLY+=("$name")
  done
  if [ -n "$names" ]; then
    while IFS= read -r name; do
      [[ $name == "$word"* ]] && COMPREPLY+=("$name")
    done < <("$1" \${home:+--home "\${home/#\\~\\//$HOME/}"} completion --names "$names" 2> /dev/null)
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
  return `    ${pattern}) flags='${spelled(flags)}' words='${words.map(({ text }) => text).join(' ')}' names=${names ?? ''}
      valued='${spelled(flags.filter(({ takesValue }) => takesValue))}'${valuesOf(flags)} ;;`
}

function spelled(flags: readonly Flag[]): string {
  return flags.flatMap(({ spellings }) => spellings).join(' ')
}

/** The words of options that take one of a few. */
function valuesOf(flags: readonly Flag[]): string {
  const chosen = flags.filter(({ values }) => values.length > 0)
  if (chosen.length === 0) return ''
  const cases = chosen.map(
    ({ spellings, values }) => `${spellings.join('|')}) values='${values.join(' ')}' ;;`
  )
  return `\n      case $prev in ${cases.join(' ')} esac`
}
