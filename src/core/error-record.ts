import { ContainerError, isContainerError, knownCode, type ErrorCode } from './errors.ts'

/** An error as it crosses from one of our processes or threads to another. */
export interface ErrorRecord {
  readonly code: ErrorCode
  readonly message: string
  readonly hint?: string
}

/** What a user needs of any error; an unforeseen one becomes `IO` and keeps its message. */
export function toRecord(error: unknown): ErrorRecord {
  if (isContainerError(error)) {
    const { code, message, hint } = error
    return { code, message, ...(hint === undefined ? {} : { hint }) }
  }
  return { code: 'IO', message: error instanceof Error ? error.message : String(error) }
}

/**
 * The error a record came from, as far as it can be had: the other end may be of another release.
 *
 * @param cause what brought the record
 */
export function fromRecord(
  record: { readonly [F in keyof ErrorRecord]?: unknown },
  cause?: unknown
): ContainerError {
  const { code, message, hint } = record
  const said =
    typeof message === 'string' ? message : 'another process failed without an error message'
  return new ContainerError(knownCode(code), said, {
    ...(typeof hint === 'string' && { hint }),
    ...(cause !== undefined && { cause })
  })
}
