import { execa } from 'execa'

/** Two hosts: network namespaces joined by one virtual cable. */
export interface NetworkPair extends AsyncDisposable {
  readonly first: NetworkHost
  readonly second: NetworkHost
}

export interface NetworkHost {
  readonly address: string
  /** Put before a command line to run it on this host. Mounts stay those of the machine. */
  readonly prefix: readonly string[]
}

/**
 * Makes two network namespaces, named after `name` and this process, with nothing but each other to talk to.
 *
 * @param subnet the first three numbers of an IPv4 network, such as `10.91.0`
 */
export async function createNetworkPair(name: string, subnet: string): Promise<NetworkPair> {
  const hosts = ['a', 'b'].map((letter, n) => ({
    namespace: `${name}-${process.pid}-${letter}`,
    device: `veth-${letter}`,
    address: `${subnet}.${n + 1}`
  }))
  const dispose = async (): Promise<void> => {
    // A namespace takes its devices with it, and a cable goes when one end does.
    for (const { namespace } of hosts) await ip('netns', 'delete', namespace).catch(() => {})
  }
  try {
    for (const { namespace } of hosts) await ip('netns', 'add', namespace)
    const [first, second] = hosts
    await ip(
      ...['link', 'add', first?.device ?? '', 'netns', first?.namespace ?? '', 'type', 'veth'],
      ...['peer', 'name', second?.device ?? '', 'netns', second?.namespace ?? '']
    )
    for (const { namespace, device, address } of hosts) {
      await ip('-n', namespace, 'address', 'add', `${address}/24`, 'dev', device)
      await ip('-n', namespace, 'link', 'set', device, 'up')
      await ip('-n', namespace, 'link', 'set', 'lo', 'up')
    }
  } catch (error) {
    await dispose()
    throw error
  }
  const host = (n: number): NetworkHost => ({
    address: hosts[n]?.address ?? '',
    // Not `ip netns exec`: that would hide new mounts from the rest of the machine.
    prefix: ['nsenter', `--net=/run/netns/${hosts[n]?.namespace}`]
  })
  return { first: host(0), second: host(1), [Symbol.asyncDispose]: dispose }
}

async function ip(...args: string[]): Promise<void> {
  await execa('ip', args)
}
