import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import type { NetworkHost } from '../../scripts/network-pair.ts'

const DHT_NODES = fileURLToPath(new URL('./dht-nodes-main.js', import.meta.url))
const PREFIX = 'dat-nat'
/** Public addresses, for hyperdht treats those of documentation and private networks in another way. Nothing leaves the namespaces. */
const PUBLIC = '44.91.77'
const DHT_HOSTS = Array.from({ length: 8 }, (_, n) => `${PUBLIC}.${n + 1}`)
const RELAY_HOST = `${PUBLIC}.50`

/** `cone`: each socket keeps its port for all destinations; `symmetric`: it gets a random one for each; `open`: no NAT. */
export type NatKind = 'cone' | 'symmetric' | 'open'

/**
 * A public network with nodes of a DHT, and hosts that each are in a private network of their own behind a router. Routers
 * are network namespaces that masquerade. Needs root. Disposing leaves nothing.
 */
export class NatNetwork implements AsyncDisposable {
  /** Nodes to begin with: `host:port`, separated by commas. */
  readonly bootstrap: string
  /** A host with a public address, without a DHT node. */
  readonly relay: NetworkHost
  readonly hosts: readonly NetworkHost[]
  readonly #namespaces: readonly string[]
  readonly #dht: ChildProcess

  private constructor(
    hosts: readonly NetworkHost[],
    relay: NetworkHost,
    parts: { namespaces: readonly string[]; dht: ChildProcess; bootstrap: string }
  ) {
    this.hosts = hosts
    this.relay = relay
    this.bootstrap = parts.bootstrap
    this.#namespaces = parts.namespaces
    this.#dht = parts.dht
  }

  static async open(nats: readonly NatKind[]): Promise<NatNetwork> {
    const namespaces: string[] = []
    const add = async (name: string): Promise<string> => {
      const namespace = `${PREFIX}-${process.pid}-${name}`
      await ip('netns', 'add', namespace)
      namespaces.push(namespace)
      await ip('-n', namespace, 'link', 'set', 'lo', 'up')
      return namespace
    }
    try {
      const middle = await add('public')
      await ip('-n', middle, 'link', 'add', 'bridge', 'type', 'bridge')
      await ip('-n', middle, 'link', 'set', 'bridge', 'up')
      for (const address of DHT_HOSTS)
        await ip('-n', middle, 'address', 'add', `${address}/24`, 'dev', 'bridge')
      const relay = await add('relay')
      await plug(middle, 'relay', relay, `${RELAY_HOST}/24`)
      const hosts: NetworkHost[] = []
      for (const [n, nat] of nats.entries()) {
        const outside = `${PUBLIC}.${100 + n}`
        const host = await add(`host${n}`)
        if (nat === 'open') {
          await plug(middle, `out${n}`, host, `${outside}/24`)
          hosts.push({ address: outside, prefix: prefixOf(host) })
          continue
        }
        const router = await add(`router${n}`)
        await plug(middle, `out${n}`, router, `${outside}/24`)
        const inside = `10.${n + 1}.0`
        await plug(router, 'lan', host, `${inside}.2/24`, `${inside}.1/24`)
        await ip('-n', host, 'route', 'add', 'default', 'via', `${inside}.1`)
        await masquerade(router, nat)
        hosts.push({ address: `${inside}.2`, prefix: prefixOf(host) })
      }
      const [program = '', ...rest] = prefixOf(middle)
      const dht = spawn(program, [...rest, process.execPath, DHT_NODES, ...DHT_HOSTS], {
        stdio: ['pipe', 'pipe', 'inherit']
      })
      const bootstrap = await firstLine(dht)
      const relayHost = { address: RELAY_HOST, prefix: prefixOf(relay) }
      return new NatNetwork(hosts, relayHost, { namespaces, dht, bootstrap })
    } catch (error) {
      await remove(namespaces)
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#dht, 'exit')
    this.#dht.kill('SIGTERM')
    await ended
    await remove(this.#namespaces)
  }
}

function prefixOf(namespace: string): string[] {
  // Not `ip netns exec`: that would hide new mounts from the rest of the machine.
  return ['nsenter', `--net=/run/netns/${namespace}`]
}

/** Joins a host to a bridge, or, with an address of its own, to a router by a cable. */
async function plug(
  router: string,
  device: string,
  host: string,
  address: string,
  routerAddress?: string
): Promise<void> {
  await ip(
    ...['-n', router, 'link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host]
  )
  if (routerAddress === undefined) await ip('-n', router, 'link', 'set', device, 'master', 'bridge')
  else await ip('-n', router, 'address', 'add', routerAddress, 'dev', device)
  await ip('-n', router, 'link', 'set', device, 'up')
  await ip('-n', host, 'address', 'add', address, 'dev', 'eth0')
  await ip('-n', host, 'link', 'set', 'eth0', 'up')
}

async function masquerade(router: string, nat: NatKind): Promise<void> {
  const [program = '', ...rest] = prefixOf(router)
  const run = (...args: string[]) => execa(program, [...rest, ...args])
  await run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
  const random = nat === 'symmetric' ? ['--random-fully'] : []
  const rule = ['POSTROUTING', '-o', 'eth0', '-j', 'MASQUERADE', ...random]
  await run('iptables', '-t', 'nat', '-A', ...rule)
  // What nobody asked for from inside goes no further, as at a home router. Without the first rule, the kernel would note a
  // flow to the router itself, and give the one from inside another port.
  await run(...'iptables -A INPUT -i eth0 -j DROP'.split(' '))
  await run(
    ...'iptables -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT'.split(' ')
  )
  await run(...'iptables -A FORWARD -i lan -j ACCEPT'.split(' '))
  await run('iptables', '-P', 'FORWARD', 'DROP')
}

async function firstLine(running: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: running.stdout as Readable })) return line
  throw new Error('it has ended')
}

async function remove(namespaces: readonly string[]): Promise<void> {
  // A namespace takes its devices with it, and a cable goes when one end does.
  for (const namespace of namespaces) await ip('netns', 'delete', namespace).catch(() => {})
}

async function ip(...args: string[]): Promise<void> {
  await execa('ip', args)
}
