import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { execa } from 'execa'
import { discoveryKey } from 'hypercore-crypto'
import z32 from 'z32'
import { createNetworkPair, type NetworkHost } from '../../scripts/network-pair.ts'
import { parseFullLink } from '../../src/p2p/link.ts'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import type { Shared } from '../e2e/results.ts'
import { LONG, Machine } from '../e2e/sandbox.ts'
import { tinyRootfs } from '../e2e/tiny-rootfs.ts'

const LISTENER = fileURLToPath(new URL('./multicast-listener-main.js', import.meta.url))
/** Nobody answers there: there is no DHT. */
const NO_DHT = '127.0.0.1:9'

/** Runs something on a host. */
async function on({ prefix }: NetworkHost, ...argv: string[]): Promise<void> {
  const [program = '', ...rest] = prefix
  await execa(program, [...rest, ...argv])
}

/** Joins two hosts a second time, as another network. */
async function addCable(first: NetworkHost, second: NetworkHost): Promise<void> {
  const namespace = second.prefix.at(-1)?.split('/').at(-1) ?? ''
  const cable = 'ip link add veth-c type veth peer name veth-d netns'.split(' ')
  await on(first, ...cable, namespace)
  for (const [host, device, address] of [
    [first, 'veth-c', '10.91.42.1/24'],
    [second, 'veth-d', '10.91.42.2/24']
  ] as const) {
    await on(host, 'ip', 'address', 'add', address, 'dev', device)
    await on(host, 'ip', 'link', 'set', device, 'up')
  }
}

/** Records what comes by multicast DNS at a host, until it is stopped. */
async function listen({ prefix, address }: NetworkHost): Promise<ChildProcess> {
  const [program = '', ...rest] = prefix
  const running = spawn(program, [...rest, process.execPath, LISTENER, address], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  await once(running.stdout, 'readable')
  return running
}

/** Stops it. @returns the packets */
async function recorded(running: ChildProcess): Promise<Buffer> {
  const parts: string[] = []
  const reading = (async () => {
    for await (const line of createInterface({ input: running.stdout as Readable }))
      parts.push(line)
  })()
  running.kill('SIGTERM')
  await reading
  return Buffer.concat(
    parts.filter((line) => line !== 'ready').map((line) => Buffer.from(line, 'hex'))
  )
}

function spellings(secret: Buffer): Buffer[] {
  const texts = [
    secret.toString('hex'),
    secret.toString('hex').toUpperCase(),
    secret.toString('base64').slice(0, 40),
    secret.toString('base64url').slice(0, 40),
    z32.encode(secret)
  ]
  // Also a part of it.
  return [
    secret.subarray(0, 16),
    secret.subarray(16),
    ...texts.map((text) => Buffer.from(text.slice(0, 24)))
  ]
}

test(
  'a link is found on a network without any DHT, and nothing of it is told there',
  LONG,
  async (t) => {
    const before = snapshot()
    const directory = mkdtempSync(join(tmpdir(), 'dat-lan-'))
    {
      await using network = await createNetworkPair('dat-lan', '10.91.41')
      const machine = (name: string, host: NetworkHost, more = {}): Machine =>
        new Machine(
          join(directory, name),
          {
            DAT_CONTAINER_BOOTSTRAP: NO_DHT,
            DAT_CONTAINER_RUNTIME_DIR: join(directory, 'run'),
            DAT_CONTAINER_VM: 'never',
            DAT_CONTAINER_LAN: 'yes',
            ...more
          },
          host.prefix
        )
      const publisher = machine('publisher', network.first)
      const { link } = await publisher.json<Shared>('share', tinyRootfs(join(directory, 'source')))
      const shy = machine('shy', network.second, { DAT_CONTAINER_LAN: 'no' })
      const unfound = await shy.run('pull', link, '--peer-timeout', '5')
      t.is(unfound.exitCode, 4, `without it, nobody is found: ${unfound.stderr}`)

      const listener = await listen(network.second)
      const reader = machine('reader', network.second)
      const run = ['--ephemeral', '--', 'cat', '/etc/os-release']
      const booted = await reader.run('boot', link, '--peer-timeout', '60', ...run)
      t.is(booted.stdout.trim(), 'ID=tiny', booted.stderr)
      const status = await reader.json<{ direct: number }>('daemon', 'status')
      t.is(status.direct, 1, 'by TCP')

      const packets = await recorded(listener)
      t.ok(packets.includes('_dat-container'), `${packets.length} bytes of packets were recorded`)
      const { key, secret } = parseFullLink(link)
      const { publicKey } = await publisher.json<{ publicKey: string }>('identity')
      for (const [what, bytes] of [
        ['the key', key],
        ['the secret', secret],
        ['the topic', discoveryKey(key)],
        ['the public key of the home', Buffer.from(z32.decode(publicKey)).subarray(0, 32)]
      ] as const) {
        t.absent(
          spellings(bytes).some((spelling) => packets.includes(spelling)),
          `${what} is in none of them`
        )
      }

      // A network that comes, and one where multicast is not allowed.
      await reader.ok('daemon', 'stop')
      await on(network.second, 'ip', 'link', 'set', 'veth-b', 'down')
      const late = machine('late', network.second)
      const pulling = late.start(['pull', link, '--peer-timeout', '90'])
      await new Promise((resolve) => setTimeout(resolve, 3_000))
      await addCable(network.first, network.second)
      const pulled = await pulling
      t.is(pulled.exitCode, 0, `a network that comes later is used: ${String(pulled.stderr)}`)

      await on(network.second, ...'iptables -A OUTPUT -d 224.0.0.0/4 -j REJECT'.split(' '))
      const barred = machine('barred', network.second)
      const failed = await barred.run('pull', link, '--peer-timeout', '8')
      t.is(failed.exitCode, 4, failed.stderr)
      t.ok((await barred.ok('daemon', 'status')).includes('process'), 'the daemon goes on')
      const log = readFileSync(join(directory, 'barred', 'daemon.log'), 'utf8')
      t.ok(log.includes('not found by multicast'), `and says so: ${log}`)
      for (const each of [publisher, shy, reader, late, barred]) await each.run('daemon', 'stop')
    }
    t.alike(await leftAfter(before), [], 'nothing is left')
    rmSync(directory, { recursive: true })
  }
)
