import { ContainerError } from '../core/errors.ts'
import { parsePeerAddress, type PeerAddress } from '../p2p/peer-address.ts'
import { ALLOW_VARIABLE, parseAllow, parsePublicKey } from './allowed-peers.ts'

/** Environment variables of a daemon that peers reach without the DHT. */
export const LISTEN_VARIABLE = 'DAT_CONTAINER_LISTEN'
export const ADVERTISE_VARIABLE = 'DAT_CONTAINER_ADVERTISE'
/** Environment variable that says whether peers are told of each other. */
export const EXCHANGE_VARIABLE = 'DAT_CONTAINER_PEER_EXCHANGE'

export const LAN_VARIABLE = 'DAT_CONTAINER_LAN'
export const NAT_VARIABLE = 'DAT_CONTAINER_NAT'
export const RELAY_VARIABLE = 'DAT_CONTAINER_RELAY'

/** Says that nobody may connect by TCP. */
const NOWHERE = 'none'

const ANY_HOSTS: readonly string[] = ['0.0.0.0', '::']

/** How peers reach a daemon by TCP, and which ones may. */
export interface Listening {
  /** An address, for all who know it; `known` for those that the swarm has connected; undefined for nobody. */
  readonly listen: PeerAddress | 'known' | undefined
  /** What links say, which is not what is listened at where there is a NAT between. */
  readonly advertise: PeerAddress | undefined
  /** Whether this machine tells peers of an image where others are, and connects to those that it is told of. */
  readonly exchanges: boolean
  /** Public keys of the only peers that may connect, in hex; undefined for everybody. */
  readonly allowed?: ReadonlySet<string> | undefined
  /** Whether peers are found on local networks by multicast. @default true */
  readonly lan?: boolean
  /** Whether to find out how others reach this machine, or to take it for reachable. @default see the peer node */
  readonly nat?: 'auto' | 'open' | undefined
  /** Public keys of relays. @default none */
  readonly relays?: readonly Buffer[] | undefined
}

/**
 * Reads `[host:]port` to listen at, of all addresses where no host is given, or `none`, and `host:port` to put
 * into links: the former where that has a host.
 *
 * @throws ContainerError `USAGE`
 */
export function parseListening(
  listen: string | undefined,
  advertise: string | undefined,
  exchange?: string
): Listening {
  const exchanges = parseSwitch('peer-exchange', exchange)
  const outside = advertise ? parsePeerAddress(advertise) : undefined
  if (!listen) return { listen: 'known', advertise: outside, exchanges }
  if (listen === NOWHERE) return { listen: undefined, advertise: outside, exchanges }
  const at = parsePeerAddress(/^\d+$/.test(listen) ? `0.0.0.0:${listen}` : listen)
  const told = outside ?? (ANY_HOSTS.includes(at.host) ? undefined : at)
  return { listen: at, advertise: told, exchanges }
}

/** Reads `yes`, which is the default, or `no`. @throws ContainerError `USAGE` */
export function parseSwitch(key: string, text: string | undefined): boolean {
  if (!text || text === 'yes') return true
  if (text === 'no') return false
  throw new ContainerError('USAGE', `${key} is yes or no, not ${JSON.stringify(text)}`)
}

/** @returns undefined for no text @throws ContainerError `USAGE` */
export function parseNat(text: string | undefined): 'auto' | 'open' | undefined {
  if (!text) return undefined
  if (text === 'auto' || text === 'open') return text
  throw new ContainerError('USAGE', `nat is auto or open, not ${JSON.stringify(text)}`)
}

/** Reads public keys, separated by commas. @throws ContainerError `USAGE` */
export function parseRelays(text: string | undefined): readonly Buffer[] {
  return (text ?? '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
    .map((word) => Buffer.from(parsePublicKey(word), 'hex'))
}

/** Reads from the environment how peers reach a daemon. @throws ContainerError `USAGE` */
export function listeningOf(environment: NodeJS.ProcessEnv): Listening {
  const listening = parseListening(
    environment[LISTEN_VARIABLE],
    environment[ADVERTISE_VARIABLE],
    environment[EXCHANGE_VARIABLE]
  )
  return {
    ...listening,
    allowed: parseAllow(environment[ALLOW_VARIABLE]),
    lan: parseSwitch('lan', environment[LAN_VARIABLE]),
    nat: parseNat(environment[NAT_VARIABLE]),
    relays: parseRelays(environment[RELAY_VARIABLE])
  }
}
