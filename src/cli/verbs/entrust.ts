import type { ImageReference } from '../../p2p/link.ts'
import { parseAllow } from '../../rpc/allowed-peers.ts'
import type { Globals } from '../parse/globals.ts'
import { printable } from '../print/output.ts'

/** Says that nobody is asked any more. */
const NOBODY = 'none'

/**
 * Has the daemon ask blind peers to keep an image.
 *
 * @param keys public keys, separated by commas; `none` to ask nobody any more
 * @throws ContainerError `USAGE` for what is no key; `NOT_FOUND`
 */
export async function entrust(
  image: ImageReference,
  keys: string,
  { home, output }: Globals
): Promise<void> {
  const blindPeers = keys === NOBODY ? [] : [...(parseAllow(keys) ?? [])]
  const { METHODS } = await import('../../rpc/protocol.ts')
  const { DaemonClient } = await import('../../session/connection/client.ts')
  const { openHome } = await import('../../home/home.ts')
  using client = await DaemonClient.connect(openHome(home))
  const asked = await client.request(METHODS.entrust, { image, blindPeers })
  const { publicKey } = await client.request(METHODS.status, null)
  output.result(asked, () =>
    asked.blindPeers.length === 0
      ? [
          `no blind peer is asked to keep ${printable(asked.name)} any more; what they have stays there`
        ]
      : [
          `${asked.blindPeers.join(', ')} will be asked to keep ${printable(asked.name)}`,
          `readers find it there if the blind peer trusts this home: ${publicKey}`
        ]
  )
}
