import { ContainerError } from '../../core/errors.ts'
import { UNSAFE_CHARACTERS } from '../../core/safe-text.ts'

const MAX_NAME_LENGTH = 64
const NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_.+-]*$/u
/** A name that long would be taken for a key. */
const LIKE_A_KEY = /^[a-z0-9]{40,}$/i
const MAX_LINE_LENGTH = 4096

/**
 * Checks a name that somebody gives to an image here. Those of other publishers' images may be any line of text.
 *
 * @throws ContainerError `USAGE`
 */
export function checkImageName(name: string): void {
  const isRight = NAME.test(name) && name.length <= MAX_NAME_LENGTH && !LIKE_A_KEY.test(name)
  if (isRight) return
  const shown = JSON.stringify(name.slice(0, MAX_NAME_LENGTH))
  throw new ContainerError('USAGE', `${shown} is not a valid image name`, {
    hint: `use up to ${MAX_NAME_LENGTH} letters, digits and _ . + -, starting with a letter, a digit or _`
  })
}

/** A name for an image that is derived from a file's: what a name cannot have becomes `-`. */
export function imageNameFrom(text: string, fallback: string): string {
  const name = text
    .replace(/[^\p{L}\p{N}_.+-]+/gu, '-')
    .replace(/^[^\p{L}\p{N}_]+|-+$/gu, '')
    .slice(0, MAX_NAME_LENGTH)
  return name === '' || LIKE_A_KEY.test(name) ? fallback : name
}

/**
 * Checks a text of a publish that has to be one line.
 *
 * @param what the option that gave it
 * @throws ContainerError `USAGE`
 */
export function checkLine(what: string, text: string): void {
  if (/[\r\n]/.test(text)) {
    throw new ContainerError('USAGE', `${what} has several lines`, { hint: 'give it one' })
  }
  if (UNSAFE_CHARACTERS.test(text)) {
    throw new ContainerError('USAGE', `${what} has control characters`, {
      hint: 'give it plain text'
    })
  }
  if (text.length > MAX_LINE_LENGTH) {
    throw new ContainerError('USAGE', `${what} has ${text.length} characters`, {
      hint: `the limit is ${MAX_LINE_LENGTH}`
    })
  }
}
