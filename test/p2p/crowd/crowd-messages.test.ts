import { randomBytes } from 'node:crypto'
import test from 'brittle'
import c from 'compact-encoding'
import { isMeaningfulTo } from '../../../src/p2p/crowd/address-scope.ts'
import {
  MOST_BLOCKS,
  MOST_PEERS,
  peerList,
  sendingList
} from '../../../src/p2p/crowd/crowd-messages.ts'

const peer = (host: string, port = 7_000) => ({
  publicKey: randomBytes(32).toString('hex'),
  host,
  port
})

test('peers are told as they are', (t) => {
  const peers = [
    peer('192.0.2.7'),
    peer('2001:db8::7', 1),
    peer('::1', 65_535),
    peer('fe80::1:2:3'),
    peer('2001:db8:1:2:3:4:5:6')
  ]
  t.alike(c.decode(peerList, c.encode(peerList, peers)), peers)
  t.alike(c.decode(peerList, c.encode(peerList, [])), [])
})

test('blocks on their way are told as they are, in order', (t) => {
  const list = [
    { receiver: randomBytes(8).toString('hex'), blocks: [0, 1, 900, 1_000_000] },
    { receiver: randomBytes(8).toString('hex'), blocks: [] }
  ]
  t.alike(c.decode(sendingList, c.encode(sendingList, list)), list)
  const mixed = [{ receiver: '00'.repeat(8), blocks: [5, 3, 4] }]
  t.alike(c.decode(sendingList, c.encode(sendingList, mixed))[0]?.blocks, [3, 4, 5])
})

test('lists that are too long, cut off or wrong are refused', (t) => {
  const many = Array.from({ length: MOST_PEERS + 1 }, () => peer('192.0.2.7'))
  t.exception(() => c.decode(peerList, c.encode(peerList, many)))
  t.exception(() => c.decode(peerList, c.encode(peerList, [peer('192.0.2.7', 0)])))
  const whole = c.encode(peerList, [peer('2001:db8::7')])
  for (let length = 0; length < whole.length; length++) {
    t.exception.all(() => c.decode(peerList, whole.subarray(0, length)), `${length} bytes`)
  }
  const blocks = Array.from({ length: MOST_BLOCKS + 1 }, (_, n) => n)
  const sending = [{ receiver: '00'.repeat(8), blocks }]
  t.exception(() => c.decode(sendingList, c.encode(sendingList, sending)))
  const halves = [sending[0], sending[0]].map(() => ({
    receiver: '00'.repeat(8),
    blocks: blocks.slice(0, MOST_BLOCKS - 1)
  }))
  t.exception(() => c.decode(sendingList, c.encode(sendingList, halves)), 'in all')
})

test('an address is told only where it means the same machine', (t) => {
  const rows: [address: string, viewer: string, meaningful: boolean][] = [
    ['192.0.2.7', '198.51.100.1', true],
    ['192.0.2.7', '10.0.0.1', true],
    ['10.0.0.2', '10.0.0.1', true],
    ['10.0.0.2', '192.0.2.7', false],
    ['100.64.0.1', '192.0.2.7', false],
    ['127.0.0.1', '127.0.0.1', true],
    ['127.0.0.1', '10.0.0.1', false],
    ['169.254.1.1', '10.0.0.1', false],
    ['fe80::1', '2001:db8::1', false],
    ['::1', '::1', true],
    ['fd00::1', '2001:db8::1', false],
    ['2001:db8::1', '192.168.1.1', true]
  ]
  for (const [address, viewer, meaningful] of rows) {
    t.is(isMeaningfulTo(address, viewer), meaningful, `${address} for ${viewer}`)
  }
})
