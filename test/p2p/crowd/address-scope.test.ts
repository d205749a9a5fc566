import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import test from 'brittle'
import { isMeaningfulTo } from '../../../src/p2p/crowd/address-scope.ts'

const PUBLIC = '203.0.113.7'

void test('an address is passed on only to a peer for which it means the same machine', (t) => {
  const cases: [address: string, viewer: string, expected: boolean][] = [
    [PUBLIC, PUBLIC, true],
    ['2001:db8::1', PUBLIC, true],
    [PUBLIC, '192.168.1.2', true],
    [PUBLIC, '127.0.0.1', true],
    ['192.168.1.2', '192.168.1.3', true],
    ['192.168.1.2', 'fe80::2', true],
    ['192.168.1.2', PUBLIC, false],
    ['100.64.0.1', PUBLIC, false],
    ['fc00::1', PUBLIC, false],
    ['169.254.0.1', '192.168.1.2', false],
    ['fe80::1', 'fc00::1', false],
    ['127.0.0.1', '127.0.0.1', true],
    ['127.0.0.1', '169.254.0.1', false],
    ['::1', PUBLIC, false],
    ['::ffff:127.0.0.1', PUBLIC, false],
    ['::ffff:a00:1', PUBLIC, false]
  ]
  for (const [address, viewer, expected] of cases) {
    t.is(isMeaningfulTo(address, viewer), expected, `${address} to ${viewer}`)
  }
})

void test('addresses by which a machine reaches itself are of no use to others', async (t) => {
  const server = createServer((socket) => socket.destroy()).listen(0)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  for (const host of ['127.0.0.1', '127.1.2.3', '0.0.0.0', '::1', '::', '::ffff:0.0.0.0']) {
    const socket = connect(port, host)
    await once(socket, 'connect')
    socket.destroy()
    t.absent(isMeaningfulTo(host, PUBLIC), `${host} reaches this machine itself`)
  }
  server.close()
})
