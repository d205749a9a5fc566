import { NAMED_BY, type CompletedVerb, type Word } from './completed-verbs.ts'

/** A script that completes in zsh, sourced or as a file `_dat-container` of its `fpath`. */
export function zshCompletion(verbs: readonly CompletedVerb[]): string {
  // First the longer ones, as the first pattern that fits is taken.
  const cases = verbs.toSorted((a, b) => b.path.length - a.path.length).map(caseFor)
  const top = verbs.flatMap(({ path: [verb = '', inner], description }) =>
    inner === undefined ? [{ text: verb, description }] : []
  )
  const options = Object.entries(NAMED_BY).map(
    ([option, kind]) => `    (${option}) flags=() others=() names=${kind} ;;`
  )
  return `#compdef dat-container
_dat_container() {
  local names= inner= found=1
  local -a flags others known
  (( CURRENT > 3 )) && inner=\${words[3]}
  case "\${words[2]} $inner " in
${cases.join('\n')}
  esac
  if (( CURRENT == 2 )); then
    flags=() names=
    others=(${quotedAll(top)})
  fi
  case "\${words[CURRENT-1]}" in
${options.join('\n')}
  esac
  if [[ $PREFIX == -* ]]; then
    _describe -o option flags
    return
  fi
  (( \${#others} )) && _describe command others && found=0
  if [[ -n $names ]]; then
    known=(\${(f)"$("\${words[1]}" completion --names $names 2> /dev/null)"})
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
      others=(${quotedAll(words)}) names=${names ?? ''} ;;`
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
