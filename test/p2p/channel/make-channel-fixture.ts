/**
 * Writes the fixture of a channel's record to the folder given:
 *
 *   node build/test/p2p/channel/make-channel-fixture.js test/fixtures/channel-v1
 *
 * Run once for each released format version; what it wrote is never written again.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeRecord } from '../../../src/p2p/channel/channel-record.ts'

const folder = process.argv[2]!
const peers = [
  { host: '192.0.2.7', port: 7777 },
  { host: '2001:db8::1', port: 1 }
]
const link = { key: Buffer.alloc(32, 3), secret: Buffer.alloc(32, 4), version: 5, peers }
const place = { channel: Buffer.alloc(32, 1), number: 7 }
mkdirSync(folder, { recursive: true })
const bytes = encodeRecord(place, Buffer.alloc(32, 2), { link, setMs: 1_700_000_000_123 })
writeFileSync(join(folder, 'record.bin'), bytes)
