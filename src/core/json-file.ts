import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import * as v from 'valibot'
import { writeFileAtomically } from './atomic-file.ts'
import { systemErrorCode } from './errors.ts'
import { decodeRecord, type Decoded, type RecordFormat, type Shape } from './record-format.ts'

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

/** What a file that should hold a record holds. `absent`: neither it nor, perhaps, its directory is there. */
export type FoundRecord<T> = Decoded<T> | { readonly kind: 'absent' }

/**
 * Reads a record that a user must not lose, so that one that is damaged is not taken for an absent one. Never throws:
 * a file that cannot be opened is damaged, and the cause says why.
 *
 * @param maxBytes a longer file is damaged
 */
export async function readRecord<T>(
  path: string,
  format: RecordFormat<T>,
  maxBytes = Infinity
): Promise<FoundRecord<T>> {
  try {
    if (maxBytes !== Infinity && (await stat(path)).size > maxBytes) {
      return { kind: 'damaged', why: 'is too long' }
    }
    return decodeRecord(await readFile(path, 'utf8'), format)
  } catch (error) {
    return unread(error)
  }
}

/** Does what {@link readRecord} does, without a promise. */
export function readRecordSync<T>(path: string, format: RecordFormat<T>): FoundRecord<T> {
  try {
    return decodeRecord(readFileSync(path, 'utf8'), format)
  } catch (error) {
    return unread(error)
  }
}

function unread(cause: unknown): FoundRecord<never> {
  if (isAbsent(cause)) return { kind: 'absent' }
  const code = systemErrorCode(cause)
  if (code === undefined) throw cause
  return { kind: 'damaged', why: `could not be opened (${code})`, cause }
}

/**
 * Reads a JSON file of the runtime directory, where nothing is lost with one that is damaged.
 *
 * @returns undefined when it is absent or not of that shape
 * @throws the system's error for a file that cannot be opened
 */
export async function readJsonFile<T>(path: string, shape: Shape<T>): Promise<T | undefined> {
  try {
    return parseJson(await readFile(path, 'utf8'), shape)
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

function isAbsent(error: unknown): boolean {
  const code = systemErrorCode(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
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
