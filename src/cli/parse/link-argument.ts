import { readFileSync, readSync } from 'node:fs'
import type { Command } from 'commander'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { ImageReference, looksLikeChannelLink, parseLink } from '../../p2p/link.ts'
import { linkOfEnvironment } from './link-variable.ts'
import { writeAll } from '../print/output.ts'

/** Stands where a link would, which is read from elsewhere. */
const ELSEWHERE = '-'
const FILE_OPTION = '--link-file'
/** An argument that is a channel itself, and not the image that it names. */
export const CHANNEL_ARGUMENT = 'channel'
/** Arguments that may be a link. */
export const LINK_ARGUMENTS = new Set([
  ...['image', 'images', 'from', 'to', 'link', 'mirror-link', CHANNEL_ARGUMENT]
])
const MAX_LINK_BYTES = 4_096
const RETRY_MS = 10

/** Lets every verb that takes a link take it from a file, too. */
export function addLinkOptions(program: Command): void {
  for (const command of program.commands) {
    addLinkOptions(command)
    if (!takesLink(command)) continue
    command.option(
      `${FILE_OPTION} <file>`,
      'read the link from a file (or give - as the link to read stdin)'
    )
  }
}

/**
 * Puts `-` where the link would stand, when it is in a file or in the environment and its place is empty.
 *
 * @param args without the program itself
 */
export function withLinkPlace(program: Command, args: readonly string[]): string[] {
  const { command, position } = findVerb(program, args)
  if (!takesLink(command)) return [...args]
  const end = args.indexOf('--', position)
  const own = args.slice(position, end === -1 ? undefined : end)
  const operands = operandsOf(command, own)
  if (operands.includes(ELSEWHERE)) return [...args]
  const hasFile = own.some((word) => word === FILE_OPTION || word.startsWith(`${FILE_OPTION}=`))
  const needed = command.registeredArguments.filter(({ required }) => required).length
  const isMissing = operands.length < needed && linkOfEnvironment() !== undefined
  if (!hasFile && !isMissing) return [...args]
  return [...args.slice(0, position), ELSEWHERE, ...args.slice(position)]
}

/**
 * Parses the images that a verb is given, before it is carried out: its action gets an {@link ImageReference} for each.
 * Links for which `-` stands are read first.
 */
export function hookLinks(program: Command): void {
  program.hook('preAction', (_program, command) => {
    const { linkFile, update, on } = command.opts<{
      linkFile?: string
      update?: string
      on?: string
    }>()
    command.registeredArguments.forEach((argument, n) => {
      if (!LINK_ARGUMENTS.has(argument.name())) return
      const given = command.processedArgs[n] as string | string[] | undefined
      if (given === undefined) return
      // An image of this machine has a name here.
      const kind = on === undefined ? argument.name() : 'image'
      const parse = (text: string): ImageReference => parseArgument(kind, text, linkFile)
      command.processedArgs[n] = Array.isArray(given) ? given.map(parse) : parse(given)
    })
    if (update !== undefined) {
      command.setOptionValue('update', parseArgument('update', update, undefined))
    }
  })
}

/** @throws ContainerError `BAD_LINK`, `USAGE`, `NOT_FOUND` */
function parseArgument(name: string, given: string, linkFile: string | undefined): ImageReference {
  const text = given === ELSEWHERE ? readLink(linkFile) : given
  if (name === CHANNEL_ARGUMENT) return channelReference(text)
  // A mirror has no name yet, and a key alone is a link.
  return name === 'mirror-link' && !looksLikeChannelLink(text.trim())
    ? ImageReference.to(parseLink(text))
    : ImageReference.parse(text)
}

/** @throws ContainerError `BAD_LINK` */
function channelReference(text: string): ImageReference {
  const reference = ImageReference.parse(text)
  if (reference.link === undefined) return reference
  throw new ContainerError('BAD_LINK', 'this is the link of an image, and not of a channel', {
    hint: 'the link of a channel begins with dat-channel://'
  })
}

/** @throws ContainerError `USAGE`, `NOT_FOUND` */
function readLink(file: string | undefined): string {
  const text = file === undefined ? (linkOfEnvironment() ?? readInputLine()) : readLinkFile(file)
  const link = text.trim()
  if (link !== '') return link
  const place = file ?? 'standard input'
  throw new ContainerError('USAGE', `there is no link in ${place}`, {
    hint: 'put it in the first line'
  })
}

function readLinkFile(path: string): string {
  try {
    return readFileSync(path, 'utf8').trimStart().split('\n')[0] ?? ''
  } catch (cause) {
    const code = systemErrorCode(cause)
    throw new ContainerError(
      code === 'ENOENT' ? 'NOT_FOUND' : 'USAGE',
      `cannot read ${path}: ${code}`,
      {
        hint: `${FILE_OPTION} takes a file with a link in its first line`,
        cause
      }
    )
  }
}

/** One line of stdin, and no byte more: the rest is for a container's command. */
function readInputLine(): string {
  if (process.stdin.isTTY) writeAll(2, 'link: ')
  const line = Buffer.alloc(MAX_LINK_BYTES)
  for (let length = 0; length < line.length;) {
    const bytes = readByte(line, length)
    if (bytes === 0 || line[length] === 0x0a) return line.toString('utf8', 0, length)
    length += bytes
  }
  throw new ContainerError('USAGE', 'the first line of standard input is no link: it is too long')
}

function readByte(into: Buffer, position: number): number {
  for (;;) {
    try {
      return readSync(0, into, position, 1, null)
    } catch (error) {
      const code = systemErrorCode(error)
      if (code === 'EOF') return 0
      if (code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS)
    }
  }
}

function takesLink(command: Command): boolean {
  return command.registeredArguments.some((argument) => LINK_ARGUMENTS.has(argument.name()))
}

/** The verb that a command line names, and where what follows it begins. */
function findVerb(
  program: Command,
  args: readonly string[]
): { command: Command; position: number } {
  let command = program
  let position = 0
  for (let n = 0; n < args.length && args[n] !== '--'; n++) {
    const word = args[n] ?? ''
    if (word.startsWith('-')) {
      if (takesValue(command, word)) n++
      continue
    }
    const inner = command.commands.find((verb) => [verb.name(), ...verb.aliases()].includes(word))
    if (inner === undefined) break
    command = inner
    position = n + 1
  }
  return { command, position }
}

function operandsOf(command: Command, words: readonly string[]): string[] {
  const operands: string[] = []
  for (let n = 0; n < words.length; n++) {
    const word = words[n] ?? ''
    if (word === ELSEWHERE || !word.startsWith('-')) operands.push(word)
    else if (takesValue(command, word)) n++
  }
  return operands
}

/** Whether an option's value is the next word. */
function takesValue({ options }: Command, word: string): boolean {
  return options.some(({ short, long, required }) => required && (word === short || word === long))
}
