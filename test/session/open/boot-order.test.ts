import test from 'brittle'
import { guessBootOrder } from '../../../src/session/open/boot-order.ts'
import { TreeBuilder } from '../../../src/image/tree/tree-builder.ts'
import { CHUNK_BYTES, type Tree } from '../../../src/image/tree/tree.ts'
import { attributesOf } from '../../image/attributes.ts'

/** Paths of files with as many chunks, and of symlinks with a target, in this order. */
type Plan = Readonly<Record<string, number | string>>

/** @returns the tree, and which path each chunk is of */
function treeOf(plan: Plan, storedBytes = 100): { tree: Tree; owner: string[] } {
  const builder = new TreeBuilder()
  const directories = new Map([['', 0]])
  const owner: string[] = []
  const directoryOf = (path: string): number => {
    const known = directories.get(path)
    if (known !== undefined) return known
    const inode = builder.addInode(attributesOf('directory'))
    link(path, inode)
    directories.set(path, inode)
    return inode
  }
  const link = (path: string, inode: number): void => {
    const slash = path.lastIndexOf('/')
    builder.link(directoryOf(path.slice(0, slash)), Buffer.from(path.slice(slash + 1)), inode)
  }
  for (const [path, what] of Object.entries(plan)) {
    if (typeof what === 'string') {
      const content = { symlinkTarget: Buffer.from(what) }
      link(path, builder.addInode(attributesOf('symlink'), content))
      continue
    }
    const first = owner.length
    for (let n = 0; n < what; n++) {
      builder.addChunk(owner.length, storedBytes, false)
      owner.push(path)
    }
    const extents = what > 0 ? [{ position: 0, chunk: first, count: what }] : []
    const content = { size: what * CHUNK_BYTES, extents }
    link(path, builder.addInode(attributesOf('file'), content))
  }
  return { tree: builder.finish(), owner }
}

void test('an init comes first, then its libraries, then its units; the rest not at all', (t) => {
  const { tree, owner } = treeOf({
    '/etc/ld.so.cache': 1,
    '/lib': 'usr/lib',
    '/sbin': 'usr/sbin',
    '/usr/bin/python3': 9,
    '/usr/lib/systemd/system/b.service': 1,
    '/usr/lib/systemd/system/b.service.d/more.conf': 1,
    '/usr/lib/systemd/system/a.target': 'b.service',
    '/usr/lib/systemd/systemd': 2,
    '/usr/lib/systemd/systemd-networkd': 4,
    '/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2': 1,
    '/usr/lib/x86_64-linux-gnu/libc.so.6': 3,
    '/usr/lib/x86_64-linux-gnu/libcap.so.2': 'libcap.so.2.66',
    '/usr/lib/x86_64-linux-gnu/libcap.so.2.66': 1,
    '/usr/lib/x86_64-linux-gnu/libX11.so.6': 5,
    '/usr/sbin/init': '/lib/systemd/systemd'
  })
  const order = guessBootOrder(tree, { mode: 'boot' })
  t.alike(
    [...new Set(order.map((chunk) => owner[chunk]))],
    [
      '/usr/lib/systemd/systemd',
      '/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2',
      '/etc/ld.so.cache',
      '/usr/lib/x86_64-linux-gnu/libc.so.6',
      '/usr/lib/x86_64-linux-gnu/libcap.so.2.66',
      '/usr/lib/systemd/system/b.service',
      '/usr/lib/systemd/system/b.service.d/more.conf'
    ]
  )
  t.is(new Set(order).size, order.length, 'each chunk once')
})

void test('a command brings its program, loader and C library', (t) => {
  const { tree, owner } = treeOf({
    '/bin': 'usr/bin',
    '/lib/ld-musl-x86_64.so.1': 2,
    '/lib/libc.musl-x86_64.so.1': 'ld-musl-x86_64.so.1',
    '/opt/run/it': 1,
    '/usr/bin/busybox': 3,
    '/usr/bin/sh': 'busybox'
  })
  const paths = (argv: string[]): (string | undefined)[] => {
    const order = guessBootOrder(tree, { mode: 'process', argv })
    return [...new Set(order.map((chunk) => owner[chunk]))]
  }
  t.alike(paths(['sh', '-c', 'true']), ['/usr/bin/busybox', '/lib/ld-musl-x86_64.so.1'])
  t.alike(paths(['/opt/run/it']), ['/opt/run/it', '/lib/ld-musl-x86_64.so.1'])
  t.alike(paths(['nothing']), ['/lib/ld-musl-x86_64.so.1'])
  t.alike(paths([]), ['/lib/ld-musl-x86_64.so.1'])
})

void test('what an image may hold does not make the order long', (t) => {
  const units = Object.fromEntries(
    Array.from({ length: 1100 }, (_, n) => [`/usr/lib/systemd/system/${n}.service`, 1])
  )
  const { tree } = treeOf({ '/usr/lib/systemd/systemd': 129, ...units }, CHUNK_BYTES / 2)
  t.is(guessBootOrder(tree, { mode: 'boot' }).length, 1024, '32 MiB, no file over 8 MiB')
  const loops = treeOf({ '/sbin/init': 'init', '/usr/lib/systemd/system/self': '.' }).tree
  t.alike(guessBootOrder(loops, { mode: 'boot' }), [])
  t.alike(guessBootOrder(treeOf({}).tree, { mode: 'boot' }), [])
})
