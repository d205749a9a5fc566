import { NAMED_BY, VALUED_GLOBALS, type CompletedVerb, type Flag } from './completed-verbs.ts'

const COMMAND = 'complete -c dat-container'

/** A script that completes in fish. */
export function fishCompletion(verbs: readonly CompletedVerb[]): string {
  const lines = verbs.flatMap(linesFor)
  const top = verbs.filter(({ path }) => path.length === 1)
  const help = top.map(
    ({ path: [verb = ''], description }) =>
      `${COMMAND} -n '__dat_container_at help' -f -a ${verb} -d ${quoted(description)}`
  )
  lines.push(...help)
  return `# What is typed before the word at hand, without the program and options.
function __dat_container_line
  set -l skipped
  for word in (commandline -opc)[2..-1]
    if set -q skipped[1]
      set -e skipped
      set -l skipped
      continue
    end
    switch $word
      case ${VALUED_GLOBALS.join(' ')}
        set skipped $word
      case '--'
        echo '<end>'
        return
      case '-*'
      case '*'
        echo $word
    end
  end
end
# Whether that belongs to a verb, or to a verb of a verb.
function __dat_container_at
  set -l line (__dat_container_line)
  set -l count (count $argv)
  test (count $line) -ge $count; or return 1
  contains '<end>' $line; and return 1
  test "$line[1..$count]" = "$argv"
end
function __dat_container_first
  test (count (__dat_container_line)) -eq 0
end
function __dat_container_names
  set -l words (commandline -opc)
  set -l home
  for n in (seq (count $words))
    switch $words[$n]
      case --home
        test $n -lt (count $words); and set home --home $words[(math $n + 1)]
      case '--home=*'
        set home $words[$n]
    end
  end
  dat-container $home completion --names $argv 2>/dev/null
end
${lines.join('\n')}`
}

function linesFor({
  path,
  aliases,
  description,
  flags,
  words,
  names,
  takesFiles
}: CompletedVerb): string[] {
  const [verb = '', inner] = path
  const spelled = [inner ?? verb, ...aliases]
  const places = spelled.map((name) => (inner === undefined ? name : `${verb} ${name}`))
  const first =
    inner === undefined
      ? [`${COMMAND} -n __dat_container_first -f -a ${verb} -d ${quoted(description)}`]
      : []
  const at = places.flatMap((place) => {
    const here = `${COMMAND} -n ${quoted(`__dat_container_at ${place}`)}`
    return [
      ...flags.map(
        (flag) =>
          `${here} ${spellings(flag.spellings)} -d ${quoted(flag.description)}` + valueOf(flag)
      ),
      ...words.map(({ text, description }) => `${here} -f -a ${text} -d ${quoted(description)}`),
      ...(names === undefined ? [] : [`${here}${takesFiles ? '' : ' -f'} -a ${namesOf(names)}`])
    ]
  })
  return [...first, ...at]
}

/** That a value follows, and what it may be. */
function valueOf({ spellings, takesValue, values }: Flag): string {
  const kind = spellings.map((text) => NAMED_BY[text]).find((it) => it !== undefined)
  if (kind !== undefined) return ` -x -a ${namesOf(kind)}`
  if (values.length > 0) return ` -x -a ${quoted(values.join(' '))}`
  return takesValue ? ' -r' : ''
}

function spellings(texts: readonly string[]): string {
  return texts
    .map((text) => (text.startsWith('--') ? `-l ${text.slice(2)}` : `-s ${text.slice(1)}`))
    .join(' ')
}

function namesOf(kind: string): string {
  return `'(__dat_container_names ${kind})'`
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
