import DHT from 'hyperdht'
import { ContainerError } from '../image/errors.ts'

export interface DhtNode extends AsyncDisposable {
  readonly host: string
  readonly port: number
}

/**
 * Runs a bootstrap node of a private DHT. Peers reach each other through it with
 * `--bootstrap host:port`; nothing leaves that network.
 *
 * @param host an address of this machine that every peer can reach
 * @param port UDP port; 0 picks one
 */
export async function startDhtNode(host: string, port: number): Promise<DhtNode> {
  const node = DHT.bootstrapper(port, host)
  try {
    await node.fullyBootstrapped()
  } catch (cause) {
    await node.destroy({ force: true }).catch(() => {})
    throw new ContainerError('IO', `cannot run a DHT node on ${host}:${port}`, {
      hint: 'check that the address is this machine’s and the UDP port is free',
      cause
    })
  }
  return {
    host,
    port: node.address().port,
    [Symbol.asyncDispose]: () => node.destroy()
  }
}
