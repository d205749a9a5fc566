import { ContainerError } from '../../core/errors.ts'

/** Error for what is not here and may not be asked of anybody. */
export function notHere(what: string): ContainerError {
  return new ContainerError('PEERS_UNREACHABLE', `${what} not on this machine`, {
    hint: 'leave out --offline to fetch it from peers; `pull` fetches a whole image'
  })
}

/** A request that timed out or lost its peer is asked again; a closed or damaged log is not. */
export function isTransient(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'REQUEST_TIMEOUT' || code === 'REQUEST_CANCELLED'
}

/** Error for a block that had to be dropped. @param cause why it could not be fetched again */
export function damagedHere(block: number, cause: ContainerError): ContainerError {
  const message = `block ${block} is damaged in the store, and no peer that has it answers`
  return new ContainerError('BAD_BLOCK', message, { hint: cause.hint, cause })
}
