import { ContainerError } from '../../core/errors.ts'

/** What became of the peers that were looked for. */
export interface Unreached {
  /** Peers that the DHT named. */
  readonly found: number
  /** Whether any has refused this machine. */
  readonly isRefused: boolean
  /** Peers that this machine's own list does not have. */
  readonly unlisted: number
  /** Whether this machine has such a list. */
  readonly isPrivate: boolean
}

/**
 * Says in an error for peers that were not reached what is known of the reason.
 *
 * @returns the same error where nothing is known
 */
export function withReason(error: ContainerError, unreached: Unreached): ContainerError {
  const known = reasonOf(unreached)
  if (known === undefined) return error
  return new ContainerError(error.code, `${error.message}: ${known.reason}`, {
    hint: known.hint,
    cause: error
  })
}

function reasonOf(unreached: Unreached): { reason: string; hint: string } | undefined {
  const { found, isRefused, unlisted, isPrivate } = unreached
  if (isRefused) {
    return {
      reason: 'a peer that was found refused this machine, because its swarm is private',
      hint: 'ask the publisher to allow the key that `dat-container identity` prints here'
    }
  }
  if (unlisted > 0 && unlisted >= found) {
    return {
      reason: `${peers(unlisted)} ${unlisted === 1 ? 'has' : 'have'} it, and this machine's setting allow does not list ${unlisted === 1 ? 'it' : 'them'}`,
      hint: 'add the key that `dat-container identity` prints on the publisher, and restart the daemon'
    }
  }
  if (found === 0) {
    if (!isPrivate) return undefined
    return {
      reason:
        'none was found, and this machine connects only with peers that its setting allow lists',
      hint: 'check that a machine on that list shares or mirrors it and is online'
    }
  }
  return {
    reason: `${peers(found)} ${found === 1 ? 'was' : 'were'} found and did not answer`,
    hint: 'the peer may be offline, behind a firewall, or private: if it is private, ask for the key that `dat-container identity` prints here to be allowed'
  }
}

function peers(count: number): string {
  return count === 1 ? '1 peer' : `${count} peers`
}
