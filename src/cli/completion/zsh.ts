import {
  NAMED_BY,
  VALUED_GLOBALS,
  type CompletedVerb,
  type Flag,
  type Word
} from './completed-verbs.ts'

/** A script that completes in zsh, sourced or as a file `_dat-container` of its `fpath`. */
export function zshCompletion(verbs: readonly CompletedVerb[]): string {
  // First the longer ones, as the first pattern that fits is taken.
  const cases = verbs.toSorted((a, b) => b.path.length - a.path.length).map(caseFor)
  const top = verbs.flatMap(({ path: [verb = '', inner], description }) =>
    inner === undefined ? [{ text: verb, description }] : []
  )
  const options = Object.entries(NAMED_BY).map(
    ([option, kind]) => `      (${option}) names=${kind} ;;`
  )
  return `#compdef dat-container
_dat_container() {
  local names= verb= inner= home= found=1 n prev=\${words[CURRENT-1]}
  local -a flags others known valued values
  for (( n = 2; n < CURRENT; n++ )); do
    case \${words[n]} in
      (--) _files; return ;;
      (--home) home=\${words[++n]} ;;
      (--home=*) home=\${words[n]#*=} ;;
      (${VALUED_GLOBALS.join('|')}) (( n++ )) ;;
      (-*) ;;
      (*) if [[ -z $verb ]]; then verb=\${words[n]}; elif [[ -z $inner ]]; then inner=\${words[n]}; fi ;;
    esac
  done
  if [[ $PREFIX == --*=* ]]; then
    prev=\${PREFIX%%=*}
    compset -P '*='
  fi
  case "$verb $inner " in
${cases.join('\n')}
  esac
  if [[ -z $verb || $verb == help ]]; then
    flags=(--version --help --json ${VALUED_GLOBALS.join(' ')}) names=
    valued=(${VALUED_GLOBALS.join(' ')})
    others=(${quotedAll(top)})
  fi
  if (( \${valued[(Ie)$prev]} )); then
    flags=() others=($values) names=
    case $prev in
${options.join('\n')}
    esac
  fi
  if [[ $PREFIX == -* ]]; then
    _describe -o option flags
    return
  fi
  (( \${#others} )) && _describe command others && found=0
  if [[ -n $names ]]; then
    known=(\${(f)"$("\${words[1]}" \${home:+--home} \${home:+\${(Q)~home}} completion --names $names 2> /dev/null)"})
    (( \${#known} )) && compadd -a known && found=0
  fi
  if (( found )); then _files; fi
}
if [[ \${funcstack[1]} == _dat-container ]]; then
  _dat_container "$@"
else
  compdef _dat_container dat-container
fi`
}

function caseFor({ path, aliases, flags, words, names }: CompletedVerb): string {
  const [verb = '', inner] = path
  const pattern =
    inner === undefined
      ? [verb, ...aliases].map((name) => `"${name} "*`).join('|')
      : [inner, ...aliases].map((name) => `"${verb} ${name} "`).join('|')
  const spelled = flags.flatMap(({ spellings, description }) =>
    spellings.map((text) => ({ text, description }))
  )
  return `    (${pattern})
      flags=(${quotedAll(spelled)})
      others=(${quotedAll(words)}) names=${names ?? ''}
      valued=(${valuedOf(flags)})${valuesOf(flags)} ;;`
}

/** `_describe` takes `word:what it does`. */
function quotedAll(words: readonly Word[]): string {
  return words
    .map(({ text, description }) => quoted(description === '' ? text : `${text}:${description}`))
    .join(' ')
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

function valuedOf(flags: readonly Flag[]): string {
  return flags
    .filter(({ takesValue }) => takesValue)
    .flatMap(({ spellings }) => spellings)
    .join(' ')
}

/** The words of options that take one of a few. */
function valuesOf(flags: readonly Flag[]): string {
  const chosen = flags.filter(({ values }) => values.length > 0)
  if (chosen.length === 0) return ''
  const cases = chosen.map(
    ({ spellings, values }) => `(${spellings.join('|')}) values=(${values.join(' ')}) ;;`
  )
  return `\n      case $prev in ${cases.join(' ')} esac`
}
