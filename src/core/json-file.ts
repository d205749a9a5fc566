import { randomBytes } from 'node:crypto'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import * as v from 'valibot'
import { writeFileAtomically } from './atomic-file.ts'
import { systemErrorCode } from './errors.ts'
import type { Shape } from './record-format.ts'

/**
 * Replaces `path` (0600) so that it outlives a power cut: when this returns, the new value is on disk,
 * and at no moment is there neither.
 *
 * @throws ContainerError `DISK_FULL`, `IO`
 */
export async function writeDurableJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomically(path, textOf(value))
}

/**
 * For the runtime directory, which no reboot survives: nothing is forced to disk. Replaces `path` (0600) in one step:
 * a reader sees the old value or the new, never a part.
 */
export async function writeJsonFile(path: string, value: unknown): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}`
  try {
    await writeFile(temporary, textOf(value), {
      mode: 0o600,
      flag: 'wx'
    })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/**
 * The parsed file, or undefined when it is absent or not of that shape. Not for what a user must not lose: there,
 * damaged is not absent (see `decodeRecord`).
 */
export async function readJsonFile<T>(path: string, shape: Shape<T>): Promise<T | undefined> {
  try {
    return parseJson(await readFile(path, 'utf8'), shape)
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

/** The value that `text` is the JSON of, or undefined when it is no JSON or not of that shape. */
export function parseJson<T>(text: string, shape: Shape<T>): T | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const checked = v.safeParse(shape, value)
  return checked.success ? checked.output : undefined
}

function textOf(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}
