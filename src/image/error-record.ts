import { ContainerError, isContainerError, type ErrorCode } from './errors.ts'

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

/** The error a record came from, as far as it can be had. */
export function fromRecord(record: ErrorRecord): ContainerError {
  const { code, message, hint } = record
  return new ContainerError(code, message, hint === undefined ? {} : { hint })
}
