import test from 'brittle'
import { answerInit } from '../../../src/fuse/protocol/fuse-init.ts'
import { INIT_FLAG, INIT_UPPER_FLAG, OPCODE } from '../../../src/fuse/protocol/fuse-protocol.ts'
import { FuseReply, type NodeAttributes } from '../../../src/fuse/protocol/fuse-reply.ts'
import { parseRequest } from '../../../src/fuse/protocol/fuse-request.ts'
import { seekFile } from '../../../src/fuse/content/file-seek.ts'
import { PID, readBody, request, u32, u64, UNIQUE } from '../fuse-messages.ts'

const HEADER = { unique: UNIQUE, node: 9, pid: PID }
const NAME = Buffer.from([0x62, 0xff, 0x64])
const ENDED = Buffer.concat([NAME, Buffer.alloc(1)])

/** What a kernel says of itself, all that it may know. */
const OFFER = { major: 7, minor: 45, maxReadahead: 131_072, flags: 0xffff_ffff }

void test('requests are taken apart', (t) => {
  const table = [
    [request(OPCODE.lookup, 9, ENDED), { kind: 'lookup', name: NAME }],
    [request(OPCODE.forget, 9, u64(1)), { kind: 'forget' }],
    [request(OPCODE.batchForget, 9, u32(1, 0), u64(9, 1)), { kind: 'forget' }],
    [request(OPCODE.getattr, 9, u32(0, 0), u64(0)), { kind: 'getattr' }],
    [request(OPCODE.readlink, 9), { kind: 'readlink' }],
    [request(OPCODE.open, 9, u32(0, 0)), { kind: 'open' }],
    [request(OPCODE.opendir, 9, u32(0, 0)), { kind: 'opendir' }],
    [request(OPCODE.release, 9, u64(0, 0, 0)), { kind: 'end' }],
    [request(OPCODE.destroy, 9), { kind: 'end' }],
    [request(OPCODE.statfs, 9), { kind: 'statfs' }],
    [
      request(OPCODE.read, 9, readBody(2 ** 40 + 1, 8192)),
      { kind: 'read', offset: 2 ** 40 + 1, size: 8192 }
    ],
    [request(OPCODE.readdir, 9, readBody(3, 99)), { kind: 'readdir', offset: 3, size: 99 }],
    [request(OPCODE.readdirplus, 9, readBody(0, 99)), { kind: 'readdirplus', offset: 0, size: 99 }],
    [request(OPCODE.getxattr, 9, u32(64, 0), ENDED), { kind: 'getxattr', name: NAME, size: 64 }],
    [request(OPCODE.listxattr, 9, u32(0, 0)), { kind: 'listxattr', size: 0 }],
    [
      request(OPCODE.lseek, 9, u64(0, 70_000), u32(3, 0)),
      { kind: 'lseek', offset: 70_000, whence: 3 }
    ],
    [request(OPCODE.interrupt, 9, u64(UNIQUE)), { kind: 'interrupt', target: UNIQUE }],
    [
      request(OPCODE.init, 9, u32(7, 45, 131_072, 0xffff_ffff, 256), Buffer.alloc(44)),
      { kind: 'init', ...OFFER, upperFlags: 256 }
    ],
    [request(16, 9, Buffer.alloc(100)), { kind: 'unknown' }]
  ] as const
  for (const [bytes, body] of table) {
    t.alike(parseRequest(bytes), { ...HEADER, ...body }, body.kind)
  }
})

void test('requests that are too short are malformed', (t) => {
  const whole = [
    request(OPCODE.lookup, 9, ENDED),
    request(OPCODE.read, 9, readBody(0, 1)),
    request(OPCODE.readdirplus, 9, readBody(0, 1)),
    request(OPCODE.getxattr, 9, u32(64, 0), ENDED),
    request(OPCODE.listxattr, 9, u32(64, 0)),
    request(OPCODE.lseek, 9, u64(0, 0), u32(3, 0)),
    request(OPCODE.interrupt, 9, u64(1)),
    request(OPCODE.init, 9, u32(7, 31, 0, 0))
  ]
  for (const bytes of whole) {
    for (let length = 0; length < bytes.length; length++) {
      const cut = Buffer.from(bytes.subarray(0, length))
      if (length < 40) {
        if (parseRequest(cut) !== undefined) t.fail(`${length} bytes are no header`)
        continue
      }
      // Cut short against what the header says, and then with a header that agrees.
      const kinds = [parseRequest(cut)?.kind]
      cut.writeUInt32LE(length, 0)
      kinds.push(parseRequest(cut)?.kind)
      if (kinds.some((kind) => kind !== 'malformed')) t.fail(`${length}: ${kinds.join(' ')}`)
    }
  }
  const long = Buffer.concat([request(OPCODE.statfs, 9), Buffer.alloc(1)])
  t.is(parseRequest(long)?.kind, 'malformed', 'longer than it says')
  t.is(parseRequest(request(OPCODE.forget, 9).subarray(0, 40))?.kind, 'forget', 'takes no answer')
})

const ATTRIBUTES: NodeAttributes = {
  node: 2 ** 33 + 5,
  mode: 0o104755,
  uid: 0xffff_fffe,
  gid: 7,
  size: 2 ** 45 + 5,
  blocks: 2 ** 36,
  linkCount: 3,
  device: 0xabc_00012,
  blockBytes: 4096,
  mtimeSeconds: -2_147_483_649,
  mtimeNanoseconds: 999_999_999
}

void test('attributes keep all their bits', (t) => {
  const reply = new FuseReply()
  reply.putEntry(ATTRIBUTES)
  const bytes = reply.finish(UNIQUE)
  t.is(bytes.length, 16 + 128)
  t.is(bytes.readUInt32LE(0), bytes.length)
  t.is(bytes.readInt32LE(4), 0)
  t.is(bytes.readBigUInt64LE(8), UNIQUE)
  const attr = bytes.subarray(16 + 40)
  t.is(bytes.readBigUInt64LE(16), BigInt(ATTRIBUTES.node), 'node')
  const wide = [0, 8, 16].map((at) => attr.readBigUInt64LE(at))
  t.alike(wide, [ATTRIBUTES.node, ATTRIBUTES.size, ATTRIBUTES.blocks].map(BigInt))
  for (let time = 0; time < 3; time++) {
    t.is(attr.readBigInt64LE(24 + 8 * time), -2_147_483_649n, 'seconds before 1970')
    t.is(attr.readUInt32LE(48 + 4 * time), 999_999_999)
  }
  const narrow = Array.from({ length: 7 }, (_, index) => attr.readUInt32LE(60 + 4 * index))
  const { mode, linkCount, uid, gid, device, blockBytes } = ATTRIBUTES
  t.alike(narrow, [mode, linkCount, uid, gid, device, blockBytes, 0])
})

void test('an absent name is an entry of node 0 that may be kept', (t) => {
  const reply = new FuseReply()
  reply.putEntry(ATTRIBUTES)
  reply.clear()
  reply.putEntry(undefined)
  const entry = reply.finish(2n).subarray(16)
  t.is(entry.readBigUInt64LE(0), 0n)
  t.ok(entry.readBigUInt64LE(16) > 86_400n)
  t.ok(entry.subarray(40).equals(Buffer.alloc(88)), 'nothing of the answer before')
})

void test('an error goes alone', (t) => {
  const reply = new FuseReply()
  reply.putBytes(Buffer.from('something'))
  const bytes = reply.finish(UNIQUE, -34)
  t.alike([bytes.length, bytes.readUInt32LE(0), bytes.readInt32LE(4)], [16, 16, -34])
})

void test('what INIT agrees on is what both sides know', (t) => {
  const offer = { ...OFFER, upperFlags: 0xffff_ffff }
  const all = Object.values(INIT_FLAG).reduce((sum, flag) => sum + flag, 0)
  const answer = answerInit(offer)
  t.alike([answer?.major, answer?.minor, answer?.flags], [7, 38, all])
  t.is(answer?.maxReadahead, 131_072)
  t.is(answer?.upperFlags, INIT_UPPER_FLAG.allowIdmap, 'ids may be mapped')
  t.is(answerInit({ ...offer, upperFlags: 0 })?.upperFlags, 0)
  t.is(answerInit({ ...offer, minor: 31 })?.minor, 31, 'an older kernel')
  const few = INIT_FLAG.doReaddirplus | INIT_FLAG.asyncRead
  t.is(answerInit({ ...offer, flags: few })?.flags, few, 'one that knows less')
  t.is(answerInit({ ...offer, minor: 22 }), undefined, 'too old')
  t.is(answerInit({ ...offer, major: 6 }), undefined)
  t.is(answerInit({ ...offer, major: 8, minor: 0 })?.major, 7, 'a newer one asks again')
  const reply = new FuseReply()
  reply.putInit(answer!)
  const bytes = reply.finish(2n)
  t.alike([bytes.length, bytes.readUInt32LE(16 + 32)], [16 + 64, INIT_UPPER_FLAG.allowIdmap])
})

void test('data and holes are found', (t) => {
  const CHUNK = 65_536
  const extents = [
    { position: 1, chunk: 0, count: 1 },
    { position: 2, chunk: 9, count: 1 },
    { position: 5, chunk: 4, count: 1 }
  ]
  const size = 5 * CHUNK + 10
  const table = [
    [0, 'data', CHUNK],
    [CHUNK + 1, 'data', CHUNK + 1],
    [3 * CHUNK, 'data', 5 * CHUNK],
    [size - 1, 'data', size - 1],
    [size, 'data', undefined],
    [0, 'hole', 0],
    [CHUNK, 'hole', 3 * CHUNK],
    [4 * CHUNK + 5, 'hole', 4 * CHUNK + 5],
    [5 * CHUNK, 'hole', size],
    [size, 'hole', undefined],
    [2 ** 64, 'hole', undefined]
  ] as const
  for (const [offset, what, found] of table) {
    t.is(seekFile(extents, size, offset, what), found, `${what} from ${offset}`)
  }
  t.is(seekFile([], CHUNK, 5, 'data'), undefined, 'a file that is one hole has no data')
  t.is(seekFile([], CHUNK, 5, 'hole'), 5)
  t.is(seekFile([], 0, 0, 'hole'), undefined, 'an empty file has nothing')
})
