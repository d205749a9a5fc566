import {
  ContainerError,
  isContainerError,
  knownCode,
  requestIdOf,
  type ErrorCode
} from './errors.ts'

/** An error as it crosses from one of our processes or threads to another. */
export interface ErrorRecord {
  readonly code: ErrorCode
  readonly message: string
  readonly hint?: string
  /** The id by which the daemon's log has the request that failed. */
  readonly requestId?: string
}

/** What a user needs of any error; an unforeseen one becomes `IO` and keeps its message. */
export function toRecord(error: unknown): ErrorRecord {
  if (isContainerError(error)) {
    const { code, message, hint } = error
    return { code, message, ...(hint === undefined ? {} : { hint }), ...requestOf(error) }
  }
  const message = error instanceof Error ? error.message : String(error)
  return { code: 'IO', message, ...requestOf(error) }
}

function requestOf(error: unknown): Pick<ErrorRecord, 'requestId'> {
  const requestId = requestIdOf(error)
  return requestId === undefined ? {} : { requestId }
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
  const { code, message, hint, requestId } = record
  const said =
    typeof message === 'string' ? message : 'another process failed without an error message'
  return new ContainerError(knownCode(code), said, {
    ...(typeof hint === 'string' && { hint }),
    ...(typeof requestId === 'string' && { requestId }),
    ...(cause !== undefined && { cause })
  })
}
