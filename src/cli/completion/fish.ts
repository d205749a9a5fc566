import { NAMED_BY, type CompletedVerb, type Flag } from './completed-verbs.ts'

const COMMAND = 'complete -c dat-container'

/** A script that completes in fish. */
export function fishCompletion(verbs: readonly CompletedVerb[]): string {
  const lines = verbs.flatMap(linesFor)
  return `# Whether what is typed belongs to a verb, or to a verb of a verb.
function __dat_container_at
  set -l words (commandline -opc)
  set -l count (count $argv)
  test (count $words) -gt $count; or return 1
  test "$words[2..$(math $count + 1)]" = "$argv"
end
function __dat_container_first
  test (count (commandline -opc)) -eq 1
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
function valueOf({ spellings, takesValue }: Flag): string {
  const kind = spellings.map((text) => NAMED_BY[text]).find((it) => it !== undefined)
  if (kind !== undefined) return ` -x -a ${namesOf(kind)}`
  return takesValue ? ' -r' : ''
}

function spellings(texts: readonly string[]): string {
  return texts
    .map((text) => (text.startsWith('--') ? `-l ${text.slice(2)}` : `-s ${text.slice(1)}`))
    .join(' ')
}

function namesOf(kind: string): string {
  return `'(dat-container completion --names ${kind} 2>/dev/null)'`
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
