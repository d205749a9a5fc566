import { TreeBuilder } from '../../src/image/tree/tree-builder.ts'
import { CHUNK_BYTES } from '../../src/image/tree/tree.ts'
import { attributesOf } from './attributes.ts'
import type { ColumnTree } from '../../src/image/tree/column-tree.ts'
import type { Tree } from '../../src/image/tree/tree.ts'

/** mulberry32: small, seeded, good enough to pick bytes to break. */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A small tree with one of everything an index can hold. */
export function everyKindOfTree(): ColumnTree {
  const builder = new TreeBuilder(attributesOf('directory', { mode: 0o755 }))
  const chunks = [
    builder.addChunk(10, 400, false),
    builder.addChunk(11, CHUNK_BYTES, true),
    builder.addChunk(3, 77, false),
    builder.addChunk(12, 5, true)
  ] as const
  // Chunks of no file; they share blocks, in order and not.
  for (const offset of [5, 65, 300, 0]) builder.addChunk(12, 60, false, offset)
  builder.addChunk(13, 7, false, 9)
  const add = (name: string, inode: number, directory = 0): number => {
    builder.link(directory, Buffer.from(name, 'latin1'), inode)
    return inode
  }
  const label = { name: Buffer.from('security.selinux'), value: Buffer.from('system_u\0') }
  const capability = { name: Buffer.from('security.capability'), value: Buffer.from([1, 0, 0, 2]) }
  const usr = add('usr', builder.addInode(attributesOf('directory'), { xattrs: [label] }))
  const bin = add('bin', builder.addInode(attributesOf('directory')), usr)
  add('empty', builder.addInode(attributesOf('directory', { mode: 0o1777 })))
  add('bin', builder.addInode(attributesOf('symlink'), { symlinkTarget: Buffer.from('usr/bin') }))
  const plain = builder.addInode(attributesOf('file', { mode: 0o4755, mtimeSeconds: -1 }), {
    size: 2 * CHUNK_BYTES,
    extents: [{ position: 0, chunk: chunks[0], count: 2 }],
    xattrs: [label, capability]
  })
  add('su', plain, bin)
  add('su-hardlink', plain, bin)
  add(
    'shared',
    builder.addInode(attributesOf('file', { uid: 1000, gid: 0xffff_fffe }), {
      size: CHUNK_BYTES,
      extents: [{ position: 0, chunk: chunks[1], count: 1 }],
      xattrs: [label]
    })
  )
  add('nothing', builder.addInode(attributesOf('file'), { size: 0 }))
  add('hole', builder.addInode(attributesOf('file'), { size: 2 ** 40 }))
  add(
    'sparse',
    builder.addInode(attributesOf('file'), {
      size: 2 ** 45 + 5,
      extents: [
        { position: 3, chunk: chunks[1], count: 2 },
        { position: 2 ** 29, chunk: chunks[3], count: 1 }
      ]
    })
  )
  add('null', builder.addInode(attributesOf('character', { deviceMajor: 1, deviceMinor: 3 })))
  add('loop', builder.addInode(attributesOf('block', { deviceMajor: 7, deviceMinor: 0xf_ffff })))
  add('fifo', builder.addInode(attributesOf('fifo', { mtimeNanoseconds: 999_999_999 })))
  add('socket', builder.addInode(attributesOf('socket', { mtimeSeconds: 2 ** 33 })))
  for (let i = 0; i < 20; i++) {
    add(`lib-\xfe${i}.so`, builder.addInode(attributesOf('file'), { size: 0 }), usr)
  }
  return builder.finish()
}

/** Everything a tree says, as plain data to compare. */
export function describeTree(tree: Tree): unknown {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
  return {
    chunks: Array.from({ length: tree.chunks.length }, (_, i) => [
      tree.chunks.block[i],
      tree.chunks.storedBytes[i],
      tree.chunks.raw[i],
      // The first in its block says no more than format 1 did.
      ...(tree.chunks.offset[i] === 0 ? [] : [tree.chunks.offset[i]])
    ]),
    entries: Array.from({ length: tree.entryCount }, (_, i) => [
      text(tree.entryName(i)),
      tree.entryInode(i)
    ]),
    inodes: Array.from({ length: tree.inodeCount }, (_, inode) => ({
      ...tree.attributes(inode),
      size: tree.size(inode),
      linkCount: tree.linkCount(inode),
      target: text(tree.symlinkTarget(inode)),
      xattrs: tree.xattrs(inode).map(({ name, value }) => [text(name), text(value)]),
      extents: tree.extents(inode),
      entries: [tree.firstEntry(inode), tree.directoryEntryCount(inode)],
      parent: tree.type(inode) === 'directory' ? tree.parent(inode) : undefined
    }))
  }
}
