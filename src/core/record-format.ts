import * as v from 'valibot'

/** What a value read from outside must look like to be a `T`. Fields that it does not name are kept. */
export type Shape<T> = v.GenericSchema<unknown, T>

/** A count or size: an integer from 0 on that a double holds exactly. */
export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

/** 256 bits as lower-case hexadecimal: a key, a seed, a digest. */
export const hex256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))

/** A port that something can listen at. */
export const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))

/** A kind of file that outlives releases of this program: JSON with a version in it. */
export interface RecordFormat<T> {
  /** The field that holds the version. */
  readonly field: 'format' | 'formatVersion'
  /** The version that this release writes, from 1 on. */
  readonly version: number
  readonly shape: Shape<T>
  /** The step at index k makes a record of version k + 2 of one of version k + 1. */
  readonly steps?: readonly ((record: Record<string, unknown>) => Record<string, unknown>)[]
}

export type Decoded<T> =
  | { readonly kind: 'record'; readonly record: T }
  /** A later release wrote it. */
  | { readonly kind: 'later'; readonly version: number }
  /** `why` completes “it …”. */
  | { readonly kind: 'damaged'; readonly why: string; readonly cause?: unknown }

/** Reads the text of a record, of this version or an earlier one. Never throws. */
export function decodeRecord<T>(text: string, format: RecordFormat<T>): Decoded<T> {
  if (text.trim() === '') return { kind: 'damaged', why: 'is empty' }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    return { kind: 'damaged', why: 'is not JSON', cause }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { kind: 'damaged', why: 'is not a record' }
  }
  const { field, version, shape, steps = [] } = format
  let record = value as Record<string, unknown>
  const found = record[field]
  if (!Number.isSafeInteger(found) || Number(found) < 1) {
    return { kind: 'damaged', why: `has no ${field}` }
  }
  if (Number(found) > version) return { kind: 'later', version: Number(found) }
  for (const step of steps.slice(Number(found) - 1)) record = step(record)
  const checked = v.safeParse(shape, { ...record, [field]: version })
  if (checked.success) return { kind: 'record', record: checked.output }
  return { kind: 'damaged', why: describe(checked.issues[0]) }
}

/** What is wrong with a value, e.g. `has no usable ranges.0.base`. */
function describe(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue)
  return path === null ? 'is not a record' : `has no usable ${path}`
}
