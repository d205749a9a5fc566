import { constants } from 'node:fs'
import { mkdtemp, open, readdir, rmdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { FileReader } from '../../../src/fuse/content/file-reader.ts'
import { planDataLayout } from '../../../src/fuse/content/data-layout.ts'
import {
  readDevice,
  serveDataDevice,
  type DeviceTransport
} from '../../../src/fuse/device/data-device.ts'
import { readMountTable } from '../../../src/fuse/linux/mount-table.ts'
import { random } from '../../image/trees.ts'
import { TreeBuilder } from '../../../src/image/tree/tree-builder.ts'

const isRoot = process.getuid?.() === 0
const BLOCK_BYTES = 4096
const CHUNK_BYTES = 65_536
const OWNED = {
  ...{ uid: 0, gid: 0, mtimeSeconds: 0, mtimeNanoseconds: 0, deviceMajor: 0, deviceMinor: 0 }
}

/** Files of a few chunks and of odd lengths, whose bytes tell where they are. */
function content() {
  const builder = new TreeBuilder()
  for (const [n, size] of [1, 4096, 65_536, 200_001, 1_000_000].entries()) {
    const count = Math.ceil(size / CHUNK_BYTES)
    let first: number | undefined
    for (let chunk = 0; chunk < count; chunk++) {
      const bytes = Math.min(CHUNK_BYTES, size - chunk * CHUNK_BYTES)
      const added = builder.addChunk(100 * n + chunk, bytes, true)
      first ??= added
    }
    const inode = builder.addInode(
      { ...OWNED, type: 'file', mode: 0o644 },
      { size, extents: [{ position: 0, chunk: first!, count }] }
    )
    builder.link(0, Buffer.from(`file-${n}`), inode)
  }
  const tree = builder.finish()
  const chunks = {
    read: async (chunk: number) =>
      Buffer.from(
        Array.from({ length: tree.chunkBytes[chunk]! }, (_, at) => (at * 7 + chunk) % 251)
      )
  }
  return { layout: planDataLayout(tree), files: new FileReader(tree, chunks) }
}

for (const transport of ['channel', 'fuse-native'] satisfies DeviceTransport[]) {
  void test(`the data device is served by ${transport}`, { skip: !isRoot }, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'dat-device-'))
    const made = content()
    const blocks = made.layout.blocks
    const bytes = blocks * BLOCK_BYTES
    const expected = Buffer.alloc(bytes, 1)
    await readDevice(made, 0, expected)
    t.ok(new Set(expected).size > 200, `${bytes} bytes that differ`)
    {
      await using device = await serveDataDevice(
        directory,
        blocks,
        Promise.resolve(made),
        transport
      )
      t.is(device.channel !== undefined, transport === 'channel', 'who serves')
      t.alike(await readdir(directory), ['data'])
      const { size, mode } = await stat(device.path)
      t.alike([size, mode & 0o777], [bytes, 0o400])
      const file = await open(device.path, constants.O_RDONLY)
      try {
        const whole = Buffer.alloc(bytes + 100)
        const { bytesRead } = await file.read(whole, 0, whole.length, 0)
        t.is(bytesRead, bytes, 'it ends where it ends')
        t.ok(whole.subarray(0, bytes).equals(expected), 'all of it')
        const next = random(5)
        const wrong: string[] = []
        for (let times = 0; times < 200; times++) {
          const at = Math.floor(next() * bytes)
          const piece = Buffer.alloc(Math.floor(next() * 20_000))
          const read = await file.read(piece, 0, piece.length, at)
          const right = expected.subarray(at, at + piece.length)
          if (!piece.subarray(0, read.bytesRead).equals(right))
            wrong.push(`${piece.length} at ${at}`)
        }
        t.alike(wrong, [], 'and pieces of it')
      } finally {
        await file.close()
      }
      await t.exception(open(device.path, constants.O_WRONLY), /EROFS/)
      await t.exception(stat(join(directory, 'other')), /ENOENT/)
    }
    const left = (await readMountTable()).filter(({ mountPoint }) => mountPoint === directory)
    t.alike(left, [], 'nothing stays mounted')
    await rmdir(directory)
  })
}
