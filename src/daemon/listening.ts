import { parsePeerAddress, type PeerAddress } from '../p2p/peer-address.ts'

/** Environment variables of a daemon that peers reach without the DHT. */
export const LISTEN_VARIABLE = 'DAT_CONTAINER_LISTEN'
export const ADVERTISE_VARIABLE = 'DAT_CONTAINER_ADVERTISE'

const ANY_HOSTS: readonly string[] = ['0.0.0.0', '::']

/** How peers reach a daemon without the DHT. */
export interface Listening {
  /** Undefined: not at all. */
  readonly listen: PeerAddress | undefined
  /** What links say, which is not what is listened at where there is a NAT between. */
  readonly advertise: PeerAddress | undefined
}

/**
 * Reads `[host:]port` to listen at, of all addresses where no host is given, and `host:port` to put into
 * links: the former where that has a host.
 *
 * @throws ContainerError `USAGE`
 */
export function parseListening(
  listen: string | undefined,
  advertise: string | undefined
): Listening {
  const at = listen
    ? parsePeerAddress(/^\d+$/.test(listen) ? `0.0.0.0:${listen}` : listen)
    : undefined
  if (advertise) return { listen: at, advertise: parsePeerAddress(advertise) }
  return { listen: at, advertise: at && !ANY_HOSTS.includes(at.host) ? at : undefined }
}

/** {@link parseListening} of the environment. */
export function listeningOf(environment: NodeJS.ProcessEnv): Listening {
  return parseListening(environment[LISTEN_VARIABLE], environment[ADVERTISE_VARIABLE])
}
