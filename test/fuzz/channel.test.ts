import test from 'brittle'
import { parseChannelLink, formatChannelLink } from '../../src/p2p/channel-link.ts'
import {
  decodePublicRecord,
  decodeRecord,
  encodeRecord
} from '../../src/p2p/channel/channel-record.ts'
import { fuzz } from './fuzz.ts'
import { mutate, mutations } from './mutations.ts'

const MINUTES_5 = { timeout: 300_000 }
const place = { channel: Buffer.alloc(32, 1), number: 3 }
const secret = Buffer.alloc(32, 2)
const link = {
  key: Buffer.alloc(32, 3),
  secret: Buffer.alloc(32, 4),
  version: 5,
  peers: [{ host: 'example.net', port: 80 }]
}
const RECORD = encodeRecord(place, secret, { link, setMs: 1 })
const LINK = Buffer.from(formatChannelLink(link))

void test('a record of bytes that were changed', MINUTES_5, async (t) => {
  await fuzz(t, { cases: 30_000, accepted: 5_000 }, mutations, (list) => {
    const bytes = Buffer.from(mutate(RECORD, list))
    const { key, peers } = decodePublicRecord(bytes)
    if (key.length !== 32 || peers.length > 8) throw new Error('more than there may be')
  })
})

void test('a record whose sealed part was changed is taken by nobody', MINUTES_5, async (t) => {
  await fuzz(t, { cases: 10_000, accepted: 100 }, mutations, (list) => {
    const bytes = Buffer.from(mutate(RECORD, list))
    decodeRecord(place, secret, bytes)
    if (!bytes.equals(RECORD)) throw new Error('it was changed and taken')
  })
})

void test('the link of a channel that was changed', MINUTES_5, async (t) => {
  await fuzz(t, { cases: 20_000, accepted: 500 }, mutations, (list) => {
    const text = Buffer.from(mutate(LINK, list)).toString('latin1')
    const parsed = parseChannelLink(text)
    const again = parseChannelLink(formatChannelLink(parsed))
    if (!again.key.equals(parsed.key)) throw new Error('it changed')
  })
})
