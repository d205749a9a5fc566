import { open } from 'node:fs/promises'
import ignore from 'ignore'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import type { Ignore } from 'ignore'
import { ioError } from './source-reader.ts'

/** In the root of a directory that is shared; says what is no part of the image. */
export const IGNORE_FILE = '.containerignore'
const MAX_IGNORE_BYTES = 1024 * 1024
const SLASH = Buffer.from('/')

/** What is left out of a directory. */
export interface IgnoreRules {
  readonly isIgnored: IsIgnored
  /** Patterns given beside the file that have left nothing out so far. */
  idle(): string[]
}

/** Whether a path, relative to the root, is left out with all that is in it. */
export type IsIgnored = (path: Buffer, isDirectory: boolean) => boolean

/**
 * What a directory's `.containerignore` and further patterns leave out. All are as in gitignore(5), the later ones
 * prevail, and a leading `./` is as good as `/`. The file itself is left out, too.
 *
 * @param more patterns that were given beside it
 * @returns undefined where there is neither
 * @throws ContainerError `BAD_SOURCE` for a file too large to be one, `USAGE` for a pattern that says nothing, `IO`
 */
export async function readContainerIgnore(
  root: Buffer,
  more: readonly string[] = []
): Promise<IgnoreRules | undefined> {
  for (const pattern of more) checkPattern(pattern)
  const text = await readIgnoreFile(Buffer.concat([root, SLASH, Buffer.from(IGNORE_FILE)]))
  if (text === undefined && more.length === 0) return undefined
  const lines = [...(text ?? '').split(/\r?\n/), ...more]
  const patterns = matcher(lines)
  const idle = new Map(
    more
      .filter((pattern) => !pattern.startsWith('!'))
      .map((pattern) => [pattern, matcher([pattern])])
  )
  return {
    isIgnored(path, isDirectory) {
      const name = isDirectory ? `${path.toString()}/` : path.toString()
      for (const [pattern, own] of idle) if (own.ignores(name)) idle.delete(pattern)
      return name === IGNORE_FILE || patterns.ignores(name)
    },
    idle: () => [...idle.keys()]
  }
}

function matcher(lines: readonly string[]): Ignore {
  return ignore({ ignorecase: false, allowRelativePaths: true }).add(
    lines.map((line) => line.replace(/^(!?)\.\//, '$1/'))
  )
}

/** In a file, such a line is a comment; as an option it would be ignored without a word. */
function checkPattern(pattern: string): void {
  if (pattern.trim() !== '' && !pattern.startsWith('#')) return
  throw new ContainerError('USAGE', `the pattern ${JSON.stringify(pattern)} leaves nothing out`, {
    hint: 'a name that begins with # is written \\#'
  })
}

async function readIgnoreFile(path: Buffer): Promise<string | undefined> {
  try {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      if (size > MAX_IGNORE_BYTES) {
        throw new ContainerError('BAD_SOURCE', `${path.toString()} has ${size} bytes`, {
          hint: `the limit is ${MAX_IGNORE_BYTES}`
        })
      }
      return await file.readFile('utf8')
    } finally {
      await file.close()
    }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error instanceof ContainerError ? error : ioError(path, error)
  }
}
