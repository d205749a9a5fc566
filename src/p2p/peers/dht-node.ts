import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'
import DHT from 'hyperdht'
import { ContainerError } from '../../core/errors.ts'

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
 * @throws ContainerError `IO`
 */
export async function startDhtNode(host: string, port: number): Promise<DhtNode> {
  let node: DHT | undefined
  try {
    node = DHT.bootstrapper(await freeUdpPort(host, port), host)
    await node.fullyBootstrapped()
  } catch (cause) {
    await node?.destroy({ force: true }).catch(() => {})
    throw new ContainerError('IO', `cannot run a DHT node on ${host}:${port}`, {
      hint: 'check that the address belongs to this machine and that the UDP port is free',
      cause
    })
  }
  const started = node
  return {
    host,
    port: started.address().port,
    [Symbol.asyncDispose]: () => started.destroy()
  }
}

/** hyperdht wants to be told a port, and one that is taken keeps it from ever ending. */
async function freeUdpPort(host: string, wanted: number): Promise<number> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  try {
    socket.bind(wanted, host)
    await once(socket, 'listening')
    return socket.address().port
  } finally {
    socket.close()
  }
}
