import type { EventEmitter } from 'node:events'
import type { Command, Help } from 'commander'

const SECTION = 1

/** A manual page. */
export interface ManPage {
  /** File name, as `dat-container-share.1`. */
  readonly name: string
  /** In the language of man(7). */
  readonly text: string
}

/** A page of a program and of each verb that its help shows, and of their verbs. @param release its version */
export function manPages(program: Command, release: string): ManPage[] {
  return pagesOf(program, [program.name()], release)
}

function pagesOf(command: Command, path: readonly string[], release: string): ManPage[] {
  const help = command.createHelp()
  const inner = shownVerbs(command, help)
  const title = path.join('-')
  const text = [
    `.TH ${quoted(title.toUpperCase())} ${SECTION} "" ${quoted(`dat-container ${release}`)}`,
    '.SH NAME',
    `${escaped(title)} \\- ${escaped(command.description())}`,
    '.SH SYNOPSIS',
    `.B ${escaped(path.join(' '))}`,
    escaped(help.commandUsage(command).replace(path.join(' '), '').trim()),
    ...list('ARGUMENTS', help.visibleArguments(command), (argument) => [
      help.argumentTerm(argument),
      help.argumentDescription(argument)
    ]),
    ...list('OPTIONS', help.visibleOptions(command), (option) => [
      help.optionTerm(option),
      help.optionDescription(option)
    ]),
    ...list('GLOBAL OPTIONS', help.visibleGlobalOptions(command), (option) => [
      help.optionTerm(option),
      help.optionDescription(option)
    ]),
    ...list('COMMANDS', inner, (verb) => [
      help.subcommandTerm(verb),
      help.subcommandDescription(verb)
    ]),
    ...notes(command),
    ...seeAlso(
      path.length > 1 ? [path.slice(0, -1).join('-')] : [],
      inner.map((verb) => `${title}-${verb.name()}`)
    )
  ]
  const page = { name: `${title}.${SECTION}`, text: `${text.join('\n')}\n` }
  return [page, ...inner.flatMap((verb) => pagesOf(verb, [...path, verb.name()], release))]
}

function shownVerbs(command: Command, help: Help): Command[] {
  return help.visibleCommands(command).filter((verb) => verb.name() !== 'help')
}

function list<T>(
  heading: string,
  items: readonly T[],
  describe: (item: T) => [term: string, description: string]
): string[] {
  if (items.length === 0) return []
  const lines = items.flatMap((item) => {
    const [term, description] = describe(item)
    return ['.TP', `.B ${escaped(term)}`, escaped(description)]
  })
  return [`.SH ${heading}`, ...lines]
}

/** What help says behind its lists, with its own line breaks. */
function notes(command: Command): string[] {
  let text = ''
  // The event by which commander has texts behind its help written; its types leave it out.
  ;(command as unknown as EventEmitter).emit('afterHelp', {
    error: false,
    command,
    write: (part: string) => (text += part)
  })
  const lines = text.trim().split('\n')
  if (text.trim() === '') return []
  return ['.SH NOTES', '.nf', ...lines.map((line) => (line === '' ? '.sp' : escaped(line))), '.fi']
}

function seeAlso(...names: (readonly string[])[]): string[] {
  const references = names.flat().map((name) => `.BR ${escaped(name)} (${SECTION})`)
  return references.length === 0 ? [] : ['.SH SEE ALSO', references.join(' ,\n')]
}

/** A line begins no request, and says what it says: dashes are those of the keyboard. */
function escaped(text: string): string {
  const plain = text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('\n', ' ')
  return plain
    .replace(/^([.'])/, '\\&$1')
    .replaceAll('`', '\\(ga')
    .replaceAll("'", '\\(aq')
}

function quoted(text: string): string {
  return `"${escaped(text).replaceAll('"', '\\(dq')}"`
}
