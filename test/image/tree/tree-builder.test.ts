import test from 'brittle'
import { isContainerError } from '../../../src/core/errors.ts'
import { resolvePath } from '../../../src/image/chunk/read-file.ts'
import { TreeBuilder } from '../../../src/image/tree/tree-builder.ts'
import { CHUNK_BYTES } from '../../../src/image/tree/tree.ts'
import { attributesOf } from '../attributes.ts'

function refused(run: () => unknown): boolean {
  try {
    run()
  } catch (error) {
    return isContainerError(error, 'BAD_INDEX')
  }
  return false
}

void test('a tree of every type comes out as it went in, sorted by name bytes', (t) => {
  const builder = new TreeBuilder(attributesOf('directory', { mode: 0o1777, uid: 7 }))
  const chunk = builder.addChunk(40, 900, false)
  builder.addChunk(41, 1, true)
  const file = builder.addInode(attributesOf('file', { mode: 0o4755, mtimeSeconds: -5 }), {
    size: CHUNK_BYTES + 1,
    extents: [{ position: 0, chunk, count: 2 }],
    xattrs: [
      { name: Buffer.from('user.b'), value: Buffer.from([0, 255]) },
      { name: Buffer.from('user.a'), value: Buffer.alloc(0) }
    ]
  })
  const directory = builder.addInode(attributesOf('directory'))
  const symlink = builder.addInode(attributesOf('symlink', { mode: 0o777 }), {
    symlinkTarget: Buffer.from('/etc/x')
  })
  const device = builder.addInode(
    attributesOf('character', { deviceMajor: 4, deviceMinor: 0xf_ffff })
  )
  builder.link(0, Buffer.from([0xff, 0x80]), device)
  builder.link(0, Buffer.from('b'), directory)
  builder.link(0, Buffer.from('a'), file)
  builder.link(directory, Buffer.from('hard'), file)
  builder.link(directory, Buffer.from('Link'), symlink)
  const tree = builder.finish()

  t.is(tree.inodeCount, 5)
  t.is(tree.entryCount, 5)
  t.alike(tree.attributes(0), attributesOf('directory', { mode: 0o1777, uid: 7 }))
  const names = (inode: number): string[] =>
    Array.from({ length: tree.directoryEntryCount(inode) }, (_, i) =>
      Buffer.from(tree.entryName(tree.firstEntry(inode) + i)).toString('latin1')
    )
  t.alike(names(0), ['a', 'b', '\xff\x80'])
  t.alike(names(directory), ['Link', 'hard'])
  t.is(tree.lookup(0, Buffer.from('a')), file)
  t.is(tree.lookup(0, Buffer.from([0xff, 0x80])), device)
  t.is(tree.lookup(directory, Buffer.from('hard')), file)
  t.is(tree.lookup(directory, Buffer.from('nothing')), undefined)
  t.is(tree.lookup(file, Buffer.from('a')), undefined)
  t.is(tree.linkCount(file), 2)
  t.is(tree.linkCount(0), 3)
  t.is(tree.linkCount(directory), 2)
  t.is(tree.parent(directory), 0)
  t.is(tree.parent(0), 0)
  t.is(tree.size(file), CHUNK_BYTES + 1)
  t.is(tree.size(symlink), 6)
  t.alike(Buffer.from(tree.symlinkTarget(symlink)).toString(), '/etc/x')
  t.alike(tree.extents(file), [{ position: 0, chunk: 0, count: 2 }])
  t.alike(
    tree.xattrs(file).map((x) => Buffer.from(x.name).toString()),
    ['user.a', 'user.b']
  )
  t.alike(tree.attributes(device).deviceMinor, 0xf_ffff)
  t.alike([...tree.chunkBytes], [CHUNK_BYTES, 1])
})

void test('a deep and broad tree has the right parents', (t) => {
  const builder = new TreeBuilder()
  let directory = 0
  for (let depth = 1; depth < 2048; depth++) {
    const child = builder.addInode(attributesOf('directory'))
    builder.link(directory, Buffer.from('d'), child)
    directory = child
  }
  const tree = builder.finish()
  t.is(tree.parent(2047), 2046)
  t.is(tree.linkCount(2046), 3)
})

void test('bad names are refused', (t) => {
  const bad = ['', '.', '..', 'a/b', '/', 'nul\0', 'x'.repeat(256)]
  for (const name of bad) {
    const builder = new TreeBuilder()
    const file = builder.addInode(attributesOf('file'))
    t.ok(
      refused(() => builder.link(0, Buffer.from(name), file)),
      JSON.stringify(name.slice(0, 9))
    )
  }
  const builder = new TreeBuilder()
  const file = builder.addInode(attributesOf('file'))
  for (const name of ['...', '..a', 'x'.repeat(255)]) builder.link(0, Buffer.from(name), file)
  t.is(builder.finish().linkCount(file), 3)
})

void test('trees that are no trees are refused', (t) => {
  const cases: Record<string, (builder: TreeBuilder) => void> = {
    'duplicate name': (b) => {
      const file = b.addInode(attributesOf('file'))
      b.link(0, Buffer.from('a'), file)
      b.link(0, Buffer.from('a'), file)
    },
    'orphan file': (b) => void b.addInode(attributesOf('file')),
    'orphan directory': (b) => void b.addInode(attributesOf('directory')),
    'directory with two names': (b) => {
      const child = b.addInode(attributesOf('directory'))
      b.link(0, Buffer.from('a'), child)
      b.link(0, Buffer.from('b'), child)
    },
    'directory in itself': (b) => {
      const child = b.addInode(attributesOf('directory'))
      b.link(child, Buffer.from('a'), child)
    },
    'root as a child': (b) => b.link(0, Buffer.from('a'), 0),
    cycle: (b) => {
      const one = b.addInode(attributesOf('directory'))
      const two = b.addInode(attributesOf('directory'))
      b.link(one, Buffer.from('a'), two)
      b.link(two, Buffer.from('a'), one)
    },
    'entry in a file': (b) => {
      const file = b.addInode(attributesOf('file'))
      b.link(file, Buffer.from('a'), file)
    },
    'entry to nowhere': (b) => b.link(0, Buffer.from('a'), 99),
    'too deep': (b) => {
      let directory = 0
      for (let depth = 1; depth <= 2048; depth++) {
        const child = b.addInode(attributesOf('directory'))
        b.link(directory, Buffer.from('d'), child)
        directory = child
      }
    }
  }
  for (const [name, build] of Object.entries(cases)) {
    t.ok(
      refused(() => {
        const builder = new TreeBuilder()
        build(builder)
        builder.finish()
      }),
      name
    )
  }
})

void test('content that does not fit is refused', (t) => {
  const extent = (position: number, chunk: number, count: number) => ({ position, chunk, count })
  const cases: Record<string, [number, ReturnType<typeof extent>[]]> = {
    'beyond the file': [CHUNK_BYTES, [extent(1, 0, 1)]],
    'beyond the chunk table': [3 * CHUNK_BYTES, [extent(0, 0, 3)]],
    overlapping: [2 * CHUNK_BYTES, [extent(0, 0, 2), extent(1, 0, 1)]],
    unsorted: [2 * CHUNK_BYTES, [extent(1, 0, 1), extent(0, 0, 1)]],
    empty: [CHUNK_BYTES, [extent(0, 0, 0)]],
    'fractional position': [2 * CHUNK_BYTES, [extent(0.5, 0, 1)]],
    'one chunk with two lengths': [CHUNK_BYTES + 500, [extent(0, 0, 1), extent(1, 0, 1)]],
    'negative size': [-1, []],
    'fractional size': [0.5, []],
    'enormous size': [2 ** 53, []]
  }
  for (const [name, [size, extents]] of Object.entries(cases)) {
    t.ok(
      refused(() => {
        const builder = new TreeBuilder()
        builder.addChunk(0, 100, false)
        builder.addChunk(1, 100, false)
        const file = builder.addInode(attributesOf('file'), { size, extents })
        builder.link(0, Buffer.from('a'), file)
        builder.finish()
      }),
      name
    )
  }
})

void test('attributes out of range are refused', (t) => {
  for (const bad of [
    { mode: 0o10000 },
    { mode: -1 },
    { uid: 0xffff_ffff },
    { gid: 1.5 },
    { mtimeNanoseconds: 1e9 },
    { mtimeSeconds: Number.NaN },
    { deviceMajor: 1 }
  ]) {
    t.ok(
      refused(() => new TreeBuilder().addInode(attributesOf('file', bad))),
      JSON.stringify(bad)
    )
  }
  const target = (symlinkTarget: string) => () =>
    new TreeBuilder().addInode(attributesOf('symlink'), {
      symlinkTarget: Buffer.from(symlinkTarget)
    })
  t.ok(refused(target('')))
  t.ok(refused(target('a\0b')))
  t.ok(refused(target('x'.repeat(4096))))
  t.absent(refused(target('x'.repeat(4095))))
})

void test('inodes that no name leads to can be dropped', (t) => {
  const builder = new TreeBuilder()
  const replaced = builder.addInode(attributesOf('character', { deviceMajor: 9 }))
  const directory = builder.addInode(attributesOf('directory'))
  builder.addInode(attributesOf('symlink'), { symlinkTarget: Buffer.from('gone') })
  const device = builder.addInode(attributesOf('block', { deviceMajor: 7, deviceMinor: 1 }))
  const symlink = builder.addInode(attributesOf('symlink'), { symlinkTarget: Buffer.from('kept') })
  t.is(builder.type(replaced), 'character')
  t.alike(builder.symlinkTarget(symlink), Buffer.from('kept'))
  builder.link(0, Buffer.from('d'), directory)
  builder.link(directory, Buffer.from('loop'), device)
  builder.link(directory, Buffer.from('s'), symlink)
  builder.dropNameless()
  const tree = builder.finish()
  t.is(tree.inodeCount, 4)
  const at = (path: string): number => resolvePath(tree, path, { followSymlinks: false })!
  const { type, deviceMajor, deviceMinor } = tree.attributes(at('d/loop'))
  t.alike([type, deviceMajor, deviceMinor], ['block', 7, 1])
  t.is(Buffer.from(tree.symlinkTarget(at('d/s'))).toString(), 'kept')
})
