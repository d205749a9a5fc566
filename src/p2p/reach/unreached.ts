import { ContainerError } from '../../core/errors.ts'
import type { DialFailure } from './dial-failures.ts'

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
  /** How connecting to them failed. */
  readonly failures: ReadonlySet<DialFailure>
  /** Whether this machine's NAT uses another port for each destination. */
  readonly isRandomized: boolean
  /** Whether this machine knows a relay. */
  readonly hasRelays: boolean
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

const WAYS_ROUND =
  'use a relay (`relay` in the configuration; `dat-container relay` runs one), or have one side listen at a forwarded port (--listen, --advertise)'
const OTHER_RELAY =
  'check that the relay runs and can be reached from both sides, or have one side listen at a forwarded port (--listen, --advertise)'

function reasonOf(unreached: Unreached): { reason: string; hint: string } | undefined {
  const { found, isRefused, unlisted, isPrivate, failures, hasRelays, isRandomized } = unreached
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
  const who = `${peers(found)} ${found === 1 ? 'was' : 'were'} found`
  const [worst] = (['nats', 'relay', 'blocked', 'silent'] as const).filter((each) =>
    failures.has(each)
  )
  switch (worst) {
    case 'nats':
      return {
        reason: `${who}, but both ends are behind NATs that use another port for each destination, through which no hole can be punched`,
        hint: hasRelays ? OTHER_RELAY : WAYS_ROUND
      }
    case 'relay':
      return {
        reason: `${who}, but the relay did not connect this machine with ${found === 1 ? 'it' : 'them'}`,
        hint: OTHER_RELAY
      }
    case 'blocked':
      return {
        reason:
          `${who}, but no hole could be punched through the NATs or firewalls in between` +
          (isRandomized ? `: the one of this machine uses another port for each destination` : ''),
        hint: hasRelays ? OTHER_RELAY : WAYS_ROUND
      }
    case 'silent':
    case undefined:
    default:
      return {
        reason: `${who} and did not answer`,
        hint: 'the peer may be offline, behind a firewall, or private: if it is private, ask for the key that `dat-container identity` prints here to be allowed'
      }
  }
}

function peers(count: number): string {
  return count === 1 ? '1 peer' : `${count} peers`
}
