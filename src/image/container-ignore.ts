import { open } from 'node:fs/promises'
import ignore from 'ignore'
import { ContainerError, systemErrorCode } from './errors.ts'
import { ioError } from './source-reader.ts'

/** In the root of a directory that is shared; says what is no part of the image. */
export const IGNORE_FILE = '.containerignore'
const MAX_IGNORE_BYTES = 1024 * 1024
const SLASH = Buffer.from('/')

/** Whether a path, relative to the root, is left out with all that is in it. */
export type IsIgnored = (path: Buffer, isDirectory: boolean) => boolean

/**
 * Reads a directory's `.containerignore`: a pattern a line, as in gitignore(5). The file itself is left
 * out, too.
 *
 * @returns undefined where there is none
 * @throws ContainerError `BAD_SOURCE` for a file too large to be one, `IO`
 */
export async function readContainerIgnore(root: Buffer): Promise<IsIgnored | undefined> {
  const path = Buffer.concat([root, SLASH, Buffer.from(IGNORE_FILE)])
  let text: string
  try {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      if (size > MAX_IGNORE_BYTES) {
        throw new ContainerError('BAD_SOURCE', `${path.toString()} has ${size} bytes`, {
          hint: `it may have ${MAX_IGNORE_BYTES}`
        })
      }
      text = await file.readFile('utf8')
    } finally {
      await file.close()
    }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error instanceof ContainerError ? error : ioError(path, error)
  }
  const patterns = ignore({ ignorecase: false, allowRelativePaths: true }).add(text)
  return (path, isDirectory) => {
    const name = path.toString()
    return name === IGNORE_FILE || patterns.ignores(isDirectory ? `${name}/` : name)
  }
}
