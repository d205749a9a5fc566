import { InvalidArgumentError, Option } from 'commander'
import { parseByteAmount } from '../../core/byte-amount.ts'
import { isContainerError } from '../../core/errors.ts'

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000
}

/** Reads a duration such as `30`, `1.5s`, `500ms` or `2m`; a bare number is seconds. */
export function durationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text)
  const factor = DURATION_UNITS[match?.[2] ?? 's']
  if (!match || factor === undefined) {
    throw new InvalidArgumentError('give seconds, or a number with ms, s, m or h.')
  }
  return Math.round(Number(match[1]) * factor)
}

/** An option that takes a duration; help shows its default as it would be given. @param defaultMs in milliseconds */
export function durationOption(flags: string, description: string, defaultMs?: number): Option {
  const option = new Option(flags, description).argParser(durationMs)
  return defaultMs === undefined ? option : option.default(defaultMs, String(defaultMs / 1_000))
}

/** Reads an amount of bytes such as `500k` or `10G`. */
export function byteAmount(text: string): number {
  try {
    return parseByteAmount(text)
  } catch (error) {
    if (!isContainerError(error)) throw error
    throw new InvalidArgumentError(`${error.hint ?? error.message}.`)
  }
}

/** Collects an option that may be given several times. */
export function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value]
}

/** Reads one of a few words, which completion knows of it. */
export function oneOf<const T extends string>(
  ...words: T[]
): ((text: string) => T) & { readonly words: readonly T[] } {
  const read = (text: string): T => {
    const found = words.find((word) => word === text)
    if (found === undefined) throw new InvalidArgumentError(`give one of ${words.join(', ')}.`)
    return found
  }
  return Object.assign(read, { words })
}

/** An argument that is a number of bytes in hexadecimal, 8 to 64 of them. */
export function nonce(text: string): string {
  if (/^([0-9a-f]{2}){8,64}$/.test(text)) return text
  throw new InvalidArgumentError('give 16 to 128 hexadecimal digits, in pairs and lower case.')
}
