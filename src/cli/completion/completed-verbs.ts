import type { Command, Option } from 'commander'
import { CHANNEL_ARGUMENT, LINK_ARGUMENTS } from '../parse/link-argument.ts'
import type { NameKind } from './known-names.ts'

/** A word that may be typed, and what it does. */
export interface Word {
  readonly text: string
  readonly description: string
}

export interface Flag {
  /** `-n`, `--name` or both. */
  readonly spellings: readonly string[]
  readonly description: string
  readonly takesValue: boolean
  /** The values that there are; none where it takes any. */
  readonly values: readonly string[]
}

/** What may follow a verb, or a verb of a verb. */
export interface CompletedVerb {
  /** `['machine', 'start']`; the first alone where it is a verb by itself. */
  readonly path: readonly string[]
  readonly aliases: readonly string[]
  readonly description: string
  readonly flags: readonly Flag[]
  /** Verbs below this one, and the words that an argument may be. */
  readonly words: readonly Word[]
  /** What the names are of that it takes. */
  readonly names: NameKind | undefined
  /** Whether it takes paths of this machine, too. */
  readonly takesFiles: boolean
}

const FILE_ARGUMENTS = new Set(['file', 'directory', 'source'])

/** Options whose values are names. */
export const NAMED_BY: Readonly<Record<string, NameKind>> = {
  '--update': 'images',
  '--machine': 'machines'
}

/** All that is completed, from the program's own definition; a verb comes before the verbs of it. */
export function completedVerbs(program: Command): CompletedVerb[] {
  return visibleCommands(program).flatMap((verb) => [
    describe(verb, [verb.name()]),
    ...visibleCommands(verb).map((inner) => describe(inner, [verb.name(), inner.name()]))
  ])
}

function describe(command: Command, path: readonly string[]): CompletedVerb {
  const help = command.createHelp()
  const options = [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)]
  const choices = command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? [])
  return {
    path,
    aliases: command.aliases(),
    description: command.description(),
    flags: options.map(flagOf),
    words: [
      ...visibleCommands(command).map((inner) => ({
        text: inner.name(),
        description: inner.description()
      })),
      ...choices.map((text) => ({ text, description: '' }))
    ],
    names: nameKind(command, path),
    takesFiles: command.registeredArguments.some((it) => FILE_ARGUMENTS.has(it.name()))
  }
}

function flagOf({ short, long, description, required, parseArg, argChoices }: Option): Flag {
  const spellings = [short, long].filter((text) => text !== undefined)
  const words = (parseArg as { words?: readonly string[] } | undefined)?.words
  return { spellings, description, takesValue: required, values: argChoices ?? words ?? [] }
}

/** Options of all verbs that take a value: they may stand before the verb. */
export const VALUED_GLOBALS = ['--home', '--bootstrap', '--log-level']

function visibleCommands(command: Command): Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter((inner) => inner.name() !== 'help')
}

function nameKind(command: Command, [verb]: readonly string[]): NameKind | undefined {
  const names = command.registeredArguments.map((argument) => argument.name())
  if (names.includes(CHANNEL_ARGUMENT)) return 'channels'
  if (names.some((name) => LINK_ARGUMENTS.has(name))) return 'images'
  if (!names.includes('name')) return undefined
  return verb === 'machine' ? 'machines' : 'containers'
}
