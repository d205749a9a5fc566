import { constants } from 'node:os'
import test from 'brittle'
import * as fc from 'fast-check'
import { FileReader } from '../../../src/fuse/content/file-reader.ts'
import { OPCODE } from '../../../src/fuse/protocol/fuse-protocol.ts'
import { TreeServer } from '../../../src/fuse/plain/tree-server.ts'
import { CHUNK_BYTES, type Tree } from '../../../src/image/tree/tree.ts'
import { fuzz } from '../../fuzz/fuzz.ts'
import { mutate, mutations } from '../../fuzz/mutations.ts'
import { TreeBuilder } from '../../../src/image/tree/tree-builder.ts'
import { everyKindOfTree } from '../../image/trees.ts'
import { entriesIn, readBody, request, u32, u64, UNIQUE } from '../fuse-messages.ts'

const MINUTES_5 = { timeout: 300_000 }
const { ENOENT, ENODATA, ERANGE, EINVAL, ENOTDIR, ENOSYS, ENXIO, EIO, EISDIR, EOPNOTSUPP } =
  constants.errno
const TREE = everyKindOfTree()
const NUL = Buffer.alloc(1)
const ALL_FLAGS = 0xffff_ffff

class Asked {
  readonly answers: Buffer[] = []
  readonly #server: TreeServer

  constructor(tree: Tree = TREE, flags = ALL_FLAGS) {
    const chunks = { read: async () => Buffer.alloc(CHUNK_BYTES, 'x') }
    this.#server = new TreeServer(tree, new FileReader(tree, chunks))
    this.send(request(OPCODE.init, 0, u32(7, 45, 0, flags)))
    this.answers.length = 0
  }

  send(bytes: Buffer): void {
    this.#server.handle(bytes, (answer) => this.answers.push(Buffer.from(answer)))
  }

  /** The errno of the answer (0 for success) and its body. */
  async ask(opcode: number, inode: number, ...body: Buffer[]): Promise<[number, Buffer]> {
    this.answers.length = 0
    this.send(request(opcode, inode + 1, ...body))
    await new Promise((resolve) => setImmediate(resolve))
    const [answer, ...more] = this.answers
    if (answer === undefined || more.length > 0) throw new Error(`${more.length} answers more`)
    if (answer.readBigUInt64LE(8) !== UNIQUE) throw new Error('of another request')
    if (answer.readUInt32LE(0) !== answer.length) throw new Error('of another length')
    return [Math.abs(answer.readInt32LE(4)), answer.subarray(16)]
  }
}

function inodeAt(...names: string[]): number {
  return names.reduce((inode, name) => TREE.lookup(inode, Buffer.from(name, 'latin1'))!, 0)
}

const name = (text: string): Buffer => Buffer.concat([Buffer.from(text, 'latin1'), NUL])
const errnoOf = async (answer: Promise<[number, Buffer]>): Promise<number> => (await answer)[0]

void test('names are looked up, also those of file handles', async (t) => {
  const asked = new Asked()
  const nodeOf = async (inode: number, text: string): Promise<number> => {
    const [errno, body] = await asked.ask(OPCODE.lookup, inode, name(text))
    return errno === 0 ? Number(body.readBigUInt64LE(0)) : -errno
  }
  const su = inodeAt('usr', 'bin', 'su')
  t.is(await nodeOf(0, 'usr'), inodeAt('usr') + 1)
  t.is(await nodeOf(inodeAt('usr', 'bin'), 'su-hardlink'), su + 1, 'both names of an inode')
  t.is(await nodeOf(0, 'absent'), 0)
  t.is(await nodeOf(su, '.'), su + 1)
  t.is(await nodeOf(inodeAt('usr', 'bin'), '..'), inodeAt('usr') + 1)
  t.is(await nodeOf(0, '..'), 1)
  t.is(await nodeOf(su, 'below'), -ENOTDIR)
  t.is(await nodeOf(TREE.inodeCount, '.'), -ENOENT, 'no node of this tree')
  t.is(await nodeOf(2 ** 50, '.'), -ENOENT)
  t.is(await nodeOf(-1, '.'), -ENOENT)
})

void test('a directory is listed in pieces of any size', async (t) => {
  const asked = new Asked()
  for (const opcode of [OPCODE.readdir, OPCODE.readdirplus]) {
    const isPlus = opcode === OPCODE.readdirplus
    const list = async (room: number) => {
      const entries: ReturnType<typeof entriesIn> = []
      for (;;) {
        const from = readBody(entries.at(-1)?.next ?? 0, room)
        const [errno, body] = await asked.ask(opcode, 0, from)
        t.is(errno, 0)
        if (body.length > room) t.fail(`${body.length} bytes for ${room}`)
        if (body.length === 0) return entries
        entries.push(...entriesIn(body, isPlus))
      }
    }
    const whole = await list(65_536)
    t.is(whole.length, TREE.directoryEntryCount(0) + 2)
    t.alike(
      whole.slice(0, 2).map(({ name, inode, plus }) => [name, inode, plus?.[0] ?? 0]),
      [
        ['.', 1, 0],
        ['..', 1, 0]
      ],
      'whose nodes the kernel has'
    )
    for (const { name, inode, type, plus } of whole.slice(2)) {
      const found = inodeAt(name)
      const right = inode === found + 1 && (!isPlus || plus?.[0] === inode)
      t.ok(right && (plus === undefined || plus[1] >>> 12 === type), name)
    }
    t.alike(await list(420), whole, 'a few at a time')
    t.is(await errnoOf(asked.ask(opcode, 0, readBody(2 ** 40, 4096))), 0, 'past the end')
    t.is(await errnoOf(asked.ask(opcode, inodeAt('shared'), readBody(0, 4096))), ENOTDIR)
  }
})

void test('attributes have sizes, and say when there is too little room', async (t) => {
  const asked = new Asked()
  const su = inodeAt('usr', 'bin', 'su')
  const get = async (size: number, text: string) =>
    asked.ask(OPCODE.getxattr, su, u32(size, 0), name(text))
  t.alike(await get(0, 'security.capability'), [0, u32(4, 0)])
  t.alike(await get(4, 'security.capability'), [0, Buffer.from([1, 0, 0, 2])])
  t.alike(await errnoOf(get(3, 'security.capability')), ERANGE)
  t.alike(await errnoOf(get(3, 'user.absent')), ENODATA)
  const names = Buffer.concat([name('security.selinux'), name('security.capability')])
  const list = async (size: number) => asked.ask(OPCODE.listxattr, su, u32(size, 0))
  t.alike(await list(0), [0, u32(names.length, 0)])
  t.is((await list(names.length))[1].length, names.length)
  t.is(await errnoOf(list(names.length - 1)), ERANGE)
})

void test('reads end where the file does', async (t) => {
  const asked = new Asked()
  const su = inodeAt('usr', 'bin', 'su')
  const read = async (inode: number, offset: number, size: number) => {
    const [errno, body] = await asked.ask(OPCODE.read, inode, readBody(offset, size))
    return errno === 0 ? body.length : -errno
  }
  t.is(await read(su, 0, 4096), 4096)
  t.is(await read(su, 2 * CHUNK_BYTES - 5, 4096), 5)
  t.is(await read(su, 2 * CHUNK_BYTES, 4096), 0)
  t.is(await read(su, 2 ** 50, 4096), 0)
  t.is(await read(su, 0, 2 ** 21), -EINVAL, 'more than was agreed on')
  t.is(await read(0, 0, 4096), -EISDIR)
  t.is(await read(inodeAt('bin'), 0, 4096), -EINVAL)
})

void test('the rest of the requests', async (t) => {
  const asked = new Asked()
  const hole = inodeAt('hole')
  t.alike(await asked.ask(OPCODE.readlink, inodeAt('bin')), [0, Buffer.from('usr/bin')])
  t.is(await errnoOf(asked.ask(OPCODE.readlink, hole)), EINVAL)
  t.is(await errnoOf(asked.ask(OPCODE.lseek, hole, u64(0, 0), u32(3, 0))), ENXIO)
  t.alike(await asked.ask(OPCODE.lseek, hole, u64(0, 7), u32(4, 0)), [0, u64(7)])
  t.is(await errnoOf(asked.ask(OPCODE.lseek, hole, u64(0, 0), u32(2, 0))), EINVAL)
  t.is(await errnoOf(asked.ask(OPCODE.open, hole, u32(0, 0))), ENOSYS, 'opens need no asking')
  t.is(await errnoOf(new Asked(TREE, 0).ask(OPCODE.open, hole, u32(0, 0))), 0, 'older kernels ask')
  t.is((await asked.ask(OPCODE.statfs, 0))[1].length, 80)
  t.is((await asked.ask(OPCODE.getattr, 0, u32(0, 0), u64(0)))[1].length, 104)
  t.is(await errnoOf(asked.ask(OPCODE.destroy, 0)), 0)
  t.is(await errnoOf(asked.ask(16, hole, Buffer.alloc(40))), ENOSYS, 'writing')
  t.is(await errnoOf(asked.ask(OPCODE.lookup, 0, Buffer.from('without an end'))), EINVAL)
  asked.answers.length = 0
  asked.send(request(OPCODE.forget, 1, u64(1)))
  asked.send(request(OPCODE.batchForget, 0, u32(1, 0), u64(1, 1)))
  asked.send(Buffer.alloc(39))
  t.is(asked.answers.length, 0, 'these take no answer')
})

void test('a kernel too old is told so', async (t) => {
  const server = new TreeServer(TREE, new FileReader(TREE, { read: async () => Buffer.alloc(0) }))
  server.handle(request(OPCODE.init, 0, u32(7, 12, 0, 0)), () => {})
  await t.exception(server.agreed, /7\.12/)
})

void test('requests of bytes that were changed', MINUTES_5, async (t) => {
  const asked = new Asked()
  const originals = [
    request(OPCODE.lookup, 1, name('usr')),
    request(OPCODE.readdirplus, 1, readBody(0, 4096)),
    request(OPCODE.read, inodeAt('sparse') + 1, readBody(0, 65_536)),
    request(OPCODE.getxattr, 2, u32(64, 0), name('security.selinux')),
    request(OPCODE.listxattr, 2, u32(64, 0)),
    request(OPCODE.lseek, inodeAt('sparse') + 1, u64(0, 0), u32(3, 0)),
    request(OPCODE.interrupt, 1, u64(UNIQUE)),
    request(OPCODE.init, 1, u32(7, 31, 0, 0))
  ]
  const changed = fc.tuple(fc.constantFrom(...originals), mutations)
  let [granted, refused] = [0, 0]
  await fuzz(t, { cases: 30_000, accepted: 30_000 }, changed, ([original, list]) => {
    asked.answers.length = 0
    asked.send(mutate(original, list))
    for (const answer of asked.answers) {
      const errno = answer.readInt32LE(4)
      const isSound = answer.readUInt32LE(0) === answer.length && errno <= 0 && errno !== -EIO
      if (!isSound || asked.answers.length > 1) throw new Error('an answer that is none')
      if (errno === 0) granted++
      else refused++
    }
  })
  t.ok(granted > 1_000 && refused > 1_000, `${granted} granted, ${refused} refused`)
})

void test('of a tree without extended attributes the kernel need not ask for them', async (t) => {
  const builder = new TreeBuilder()
  const ask = async (tree: Tree, what: string): Promise<number> =>
    errnoOf(new Asked(tree).ask(OPCODE.getxattr, 0, u32(64, 0), name(what)))
  t.is(await ask(builder.finish(), 'security.selinux'), ENOSYS)
  const other = new TreeBuilder()
  other.setXattrs(0, [{ name: Buffer.from('user.note'), value: NUL }])
  const tree = other.finish()
  // ls(1) asks of each file for this, until it hears that the file system has none.
  t.is(await ask(tree, 'security.selinux'), EOPNOTSUPP, 'labels that no file has')
  for (const what of ['security.capability', 'system.posix_acl_access', 'user.other', 'user.not']) {
    t.is(await ask(tree, what), ENODATA, `${what}: others are only not there`)
  }
  const labelled = new TreeBuilder()
  const inode = labelled.addInode({ ...tree.attributes(0), type: 'fifo' })
  labelled.link(0, Buffer.from('labelled'), inode)
  labelled.setXattrs(inode, [{ name: Buffer.from('security.selinux'), value: NUL }])
  t.is(await ask(labelled.finish(), 'security.selinux'), ENODATA, 'another file has one')
})
