import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { isContainerError } from '../../../src/core/errors.ts'
import {
  decodePublicRecord,
  decodeRecord,
  encodeRecord,
  MAX_RECORD_BYTES,
  mirrorLinkOf
} from '../../../src/p2p/channel/channel-record.ts'
import type { FullLink } from '../../../src/p2p/link.ts'

const FIXTURE = fileURLToPath(new URL('../../../../test/fixtures/channel-v1', import.meta.url))
const channel = Buffer.alloc(32, 1)
const channelSecret = Buffer.alloc(32, 2)
const place = { channel, number: 7 }
const peers = [
  { host: '192.0.2.7', port: 7777 },
  { host: '2001:db8::1', port: 1 }
]
const link: FullLink = { key: Buffer.alloc(32, 3), secret: Buffer.alloc(32, 4), version: 5, peers }
const setMs = 1_700_000_000_123

function codeOf(read: () => unknown): string {
  try {
    read()
    return 'accepted'
  } catch (error) {
    return isContainerError(error) ? error.code : `threw ${String(error)}`
  }
}

test('a record tells all to who has the secret, and the image’s key and peers to others', (t) => {
  const bytes = encodeRecord(place, channelSecret, { link, setMs })
  t.alike(decodeRecord(place, channelSecret, bytes), { link, setMs })
  t.alike(decodePublicRecord(bytes), { key: link.key, peers })
  const { key } = link
  t.alike(mirrorLinkOf({ key, peers }), { key, secret: undefined, version: undefined, peers })
  t.absent(bytes.includes(link.secret), 'the secret of the image is not in it')
  const newest: FullLink = { key, secret: link.secret, version: undefined }
  const again = encodeRecord(place, channelSecret, { link: newest, setMs })
  t.alike(decodeRecord(place, channelSecret, again).link, newest)
  const twice = encodeRecord(place, channelSecret, { link: newest, setMs })
  t.absent(twice.subarray(69).equals(again.subarray(69)), 'the same is sealed in another way')
})

test('a record is of one place, one secret, and as it was written', (t) => {
  const bytes = encodeRecord(place, channelSecret, { link, setMs })
  const read = (where = place, secret = channelSecret, what = bytes) =>
    codeOf(() => decodeRecord(where, secret, what))
  t.is(read(), 'accepted')
  t.is(read({ channel, number: 8 }), 'WRONG_SECRET', 'another number')
  t.is(read({ channel: Buffer.alloc(32, 9), number: 7 }), 'WRONG_SECRET', 'another channel')
  t.is(read(place, Buffer.alloc(32, 9)), 'WRONG_SECRET', 'another secret')
  const accepted = [...bytes.keys()].filter((n) => {
    const changed = Buffer.from(bytes)
    changed[n] = (changed[n] ?? 0) ^ 1
    return read(place, channelSecret, changed) === 'accepted'
  })
  t.alike(accepted, [], 'no bit of it can be changed')
})

test('what is no record is refused', (t) => {
  const bytes = encodeRecord(place, channelSecret, { link, setMs })
  const tail = (text: string): Buffer => Buffer.concat([bytes.subarray(0, 129), Buffer.from(text)])
  const cases: readonly (readonly [what: string, bytes: Buffer, code: string])[] = [
    ['nothing', Buffer.alloc(0), 'BAD_CHANNEL'],
    ['zeros', Buffer.alloc(200), 'BAD_CHANNEL'],
    ['one that was cut', bytes.subarray(0, 128), 'BAD_CHANNEL'],
    ['one that is too long', Buffer.concat([bytes, Buffer.alloc(MAX_RECORD_BYTES)]), 'BAD_CHANNEL'],
    ['a later format', Buffer.concat([Buffer.from('DCCH\x02'), bytes]), 'UNSUPPORTED_VERSION'],
    ['a peer without a port', tail('peer=a'), 'BAD_CHANNEL'],
    ['a parameter that is not known', tail('peer=a:1&x=y'), 'BAD_CHANNEL'],
    [
      'nine peers',
      tail(Array.from({ length: 9 }, (_, n) => `peer=a:${n + 1}`).join('&')),
      'BAD_CHANNEL'
    ],
    ['a peer in another spelling', tail('peer=a%3A1'), 'BAD_CHANNEL'],
    ['control characters', tail('peer=a\n:1'), 'BAD_CHANNEL']
  ]
  for (const [what, given, code] of cases) {
    t.is(
      codeOf(() => decodePublicRecord(given)),
      code,
      what
    )
  }
  const long = Array.from({ length: 8 }, (_, n) => ({ host: `${'a'.repeat(80)}${n}`, port: 1 }))
  const tooLong = { link: { ...link, peers: long }, setMs }
  t.is(
    codeOf(() => encodeRecord(place, channelSecret, tooLong)),
    'USAGE',
    'none is written'
  )
})

test('a record that the first release wrote is read', (t) => {
  const bytes = readFileSync(join(FIXTURE, 'record.bin'))
  t.is(bytes.length, 169)
  t.alike(decodeRecord(place, channelSecret, bytes), { link, setMs })
  t.alike(decodePublicRecord(bytes), { key: link.key, peers })
})
