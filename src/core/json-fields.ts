import { ContainerError } from './errors.ts'
import { UNSAFE_CHARACTERS } from './safe-text.ts'

export function badManifest(message: string, cause?: unknown): ContainerError {
  return new ContainerError('BAD_MANIFEST', `bad image manifest: ${message}`, {
    hint: 'the image is damaged or hostile; ask its publisher to share it again',
    ...(cause === undefined ? {} : { cause })
  })
}

/**
 * Typed access to the fields of an object that came as JSON from someone else. Every method throws
 * what `bad` makes of a message that names the field.
 */
export class JsonFields {
  readonly #value: Readonly<Record<string, unknown>>
  readonly #path: string
  readonly #makeError: (message: string) => Error

  /** @param makeError @default ContainerError `BAD_MANIFEST` */
  constructor(value: unknown, path = '', makeError: (message: string) => Error = badManifest) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw makeError(`${path === '' ? 'it' : path} is no object`)
    }
    this.#value = value as Record<string, unknown>
    this.#path = path
    this.#makeError = makeError
  }

  /** Names of the fields that are there, at most `limit`. */
  names(limit: number): string[] {
    const names = Object.keys(this.#value)
    if (names.length > limit) throw this.#makeError(`${this.#path} has too many fields`)
    return names
  }

  has(name: string): boolean {
    // Not inherited ones: a manifest may not bring a "constructor".
    return Object.hasOwn(this.#value, name) && this.#value[name] !== undefined
  }

  get(name: string): unknown {
    return this.has(name) ? this.#value[name] : undefined
  }

  /** An integer from 0 to `limit`. */
  count(name: string, limit = Number.MAX_SAFE_INTEGER): number {
    const value = this.get(name)
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > limit) {
      throw this.#bad(name, 'is not a number in its range')
    }
    return value
  }

  /** A number from 0 to `limit`, whole or not. */
  amount(name: string, limit = Number.MAX_SAFE_INTEGER): number {
    const value = this.get(name)
    if (typeof value !== 'number' || !(value >= 0 && value <= limit)) {
      throw this.#bad(name, 'is not a number in its range')
    }
    return value
  }

  flag(name: string): boolean {
    const value = this.get(name)
    if (typeof value !== 'boolean') throw this.#bad(name, 'is neither true nor false')
    return value
  }

  /** Text that may be printed: no control characters, at most `limit` UTF-16 units. */
  line(name: string, limit: number): string {
    const text = this.#text(name, this.get(name), limit)
    if (UNSAFE_CHARACTERS.test(text)) {
      throw this.#bad(name, 'contains control characters')
    }
    return text
  }

  /** Text handed to a program: anything but NUL. */
  texts(name: string, limits: { items: number; length: number }): string[] {
    const value = this.get(name)
    if (!Array.isArray(value) || value.length > limits.items) {
      throw this.#bad(name, 'is not a list, or is too long')
    }
    return value.map((item: unknown) => this.#text(name, item, limits.length))
  }

  /** Text handed to a program: anything but NUL, at most `limit` UTF-16 units. */
  text(name: string, limit: number): string {
    return this.#text(name, this.get(name), limit)
  }

  object(name: string): JsonFields {
    return new JsonFields(this.get(name), this.#field(name), this.#makeError)
  }

  objects(name: string, limit: number): JsonFields[] {
    const value = this.get(name)
    if (!Array.isArray(value) || value.length > limit) {
      throw this.#bad(name, 'is not a list, or is too long')
    }
    return value.map(
      (item: unknown, i) => new JsonFields(item, `${this.#field(name)}[${i}]`, this.#makeError)
    )
  }

  #text(name: string, value: unknown, limit: number): string {
    if (typeof value !== 'string' || value.length > limit || value.includes('\0')) {
      throw this.#bad(name, 'is not text, or is too long')
    }
    return value
  }

  #field(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`
  }

  #bad(name: string, problem: string): Error {
    return this.#makeError(`${this.#field(name)} ${problem}`)
  }
}
