import test from 'brittle'
import { readFileRange, resolvePath, walk } from '../../../src/image/chunk/read-file.ts'
import { TreeBuilder } from '../../../src/image/tree/tree-builder.ts'
import { CHUNK_BYTES } from '../../../src/image/tree/tree.ts'
import { attributesOf } from '../attributes.ts'
import { isContainerError } from '../../../src/core/errors.ts'

function treeOfLinks() {
  const builder = new TreeBuilder()
  const add = (directory: number, name: string, inode: number): number => {
    builder.link(directory, Buffer.from(name), inode)
    return inode
  }
  const directory = (parent: number, name: string): number =>
    add(parent, name, builder.addInode(attributesOf('directory')))
  const link = (parent: number, name: string, target: string): number =>
    add(
      parent,
      name,
      builder.addInode(attributesOf('symlink'), { symlinkTarget: Buffer.from(target) })
    )
  const usr = directory(0, 'usr')
  const bin = directory(usr, 'bin')
  const sh = add(bin, 'sh', builder.addInode(attributesOf('file')))
  const relative = link(0, 'bin', 'usr/bin')
  link(bin, 'absolute', '/usr/bin/sh')
  link(bin, 'up', '../../bin/sh')
  link(0, 'escape', '../../../../usr/bin/sh')
  link(0, 'self', 'self')
  link(0, 'ping', 'pong')
  link(0, 'pong', '/ping')
  link(0, 'slash', '/')
  link(0, 'trailing', 'usr/')
  for (let i = 0; i < 41; i++) link(usr, `hop${i}`, i === 0 ? 'bin' : `hop${i - 1}`)
  return { tree: builder.finish(), usr, bin, sh, relative }
}

void test('paths resolve as chroot would have it', (t) => {
  const { tree, usr, bin, sh, relative } = treeOfLinks()
  const cases: [string, number | undefined][] = [
    ['', 0],
    ['/', 0],
    ['..', 0],
    ['/../../usr', usr],
    ['usr//bin/./sh', sh],
    ['/bin/sh', sh],
    ['/bin/absolute', sh],
    ['/bin/up', sh],
    ['/escape', sh],
    ['/slash/slash/usr', usr],
    ['/bin/..', usr],
    ['/bin', bin],
    ['/bin/', bin],
    ['/trailing', usr],
    ['/usr/hop39', bin],
    ['/usr/hop40', undefined],
    ['/self', undefined],
    ['/ping', undefined],
    ['/bin/sh/', undefined],
    ['/bin/sh/..', undefined],
    ['/bin/sh/x', undefined],
    ['/none', undefined],
    ['/none/..', undefined]
  ]
  for (const [path, inode] of cases) t.is(resolvePath(tree, path), inode, path)
  t.is(resolvePath(tree, '/bin', { followSymlinks: false }), relative)
  t.is(resolvePath(tree, '/bin/', { followSymlinks: false }), bin)
  t.is(resolvePath(tree, '/bin/sh', { followSymlinks: false }), sh)
  t.is(resolvePath(tree, Buffer.from('/bin/sh')), sh)
})

void test('a walk is depth first and in byte order', (t) => {
  const { tree } = treeOfLinks()
  const paths = [...walk(tree)].map(({ path }) => path.toString())
  t.alike(paths.slice(0, 8), ['', 'bin', 'escape', 'ping', 'pong', 'self', 'slash', 'trailing'])
  t.alike(paths.slice(8, 14), [
    'usr',
    'usr/bin',
    'usr/bin/absolute',
    'usr/bin/sh',
    'usr/bin/up',
    'usr/hop0'
  ])
  t.is(paths.length, tree.entryCount + 1)
})

void test('a chunk that is too short is an error, not zeros', async (t) => {
  const builder = new TreeBuilder()
  builder.addChunk(0, 9, false)
  const extents = [{ position: 0, chunk: 0, count: 1 }]
  const file = builder.addInode(attributesOf('file'), { size: CHUNK_BYTES, extents })
  builder.link(0, Buffer.from('f'), file)
  const tree = builder.finish()
  const chunks = { read: async () => Promise.resolve(new Uint8Array(10)) }
  t.is((await readFileRange(tree, chunks, 0, 0, 10)).length, 0, 'a directory has no content')
  try {
    await readFileRange(tree, chunks, file, 0, 100)
    t.fail()
  } catch (error) {
    t.ok(isContainerError(error, 'BAD_BLOCK'))
  }
})
