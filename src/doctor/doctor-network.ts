import { DaemonClient } from '../session/connection/client.ts'
import { openHome } from '../home/home.ts'
import { METHODS, type DaemonStatus } from '../rpc/protocol.ts'
import { partly, pass, reasonOf, type Check } from './doctor-check.ts'

const NAME = 'network'
const WAYS_ROUND =
  'forward a port to this machine (daemon start --listen PORT --advertise HOST:PORT), or set relay to the key of a relay'

/** How peers reach this machine, as its daemon has found out. */
export async function checkNetwork(home: string): Promise<Check> {
  try {
    using client = await DaemonClient.connectRunning(openHome(home))
    if (!client)
      return pass(NAME, 'no daemon runs, so that nobody has looked how peers reach this machine')
    return networkOf(await client.request(METHODS.status, null))
  } catch (error) {
    return partly(
      NAME,
      `the daemon does not tell: ${reasonOf(error)}`,
      'dat-container daemon status'
    )
  }
}

/** What a daemon's state says of the network. */
export function networkOf({
  online,
  nat,
  listen
}: Pick<DaemonStatus, 'online' | 'nat' | 'listen'>): Check {
  if (!online) {
    return partly(
      NAME,
      'no node of the DHT answers: peers are found only by addresses in links',
      'check the connection to the internet, or --bootstrap on a private network'
    )
  }
  const at = nat.seenAt === null ? '' : `, at ${nat.seenAt}`
  const relays =
    nat.relays.length === 0
      ? ''
      : `; ${nat.relays.length === 1 ? 'a relay is' : 'relays are'} used where that fails`
  switch (nat.kind) {
    case 'open':
      if (nat.isAssumed) return pass(NAME, 'taken to be reachable at its address (nat = open)')
      return pass(NAME, `reachable from outside${at}`)
    case 'consistent':
      return pass(
        NAME,
        `behind a NAT that keeps one port for all${at}: peers connect by holes that are punched${relays}`
      )
    case 'random': {
      const detail = `behind a NAT that uses another port for each destination${at}: peers behind such NATs cannot connect${relays}`
      return nat.relays.length > 0 || (listen !== null && !listen.startsWith('0.0.0.0'))
        ? pass(NAME, detail)
        : partly(NAME, detail, WAYS_ROUND)
    }
    case 'unknown':
    default:
      return partly(
        NAME,
        'too few nodes of the DHT have answered to tell what is in between',
        'run doctor again after some seconds'
      )
  }
}
