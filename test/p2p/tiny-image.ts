import { compressChunk } from '../../src/image/chunk/compression.ts'
import { compressPart, encodeIndex, pointerTo } from '../../src/image/format/index-codec.ts'
import type { Manifest } from '../../src/image/format/manifest.ts'
import { TreeBuilder } from '../../src/image/tree/tree-builder.ts'
import type { ColumnTree } from '../../src/image/tree/column-tree.ts'
import type { InodeAttributes } from '../../src/image/tree/tree.ts'
import { DriveWriter } from '../../src/p2p/drive/drive-writer.ts'
import { EntriesThread } from '../../src/p2p/drive/entries-thread.ts'
import { DriveSession } from '../../src/p2p/transfer/drive-session.ts'
import { listChanges, listFirst } from '../../src/p2p/drive/list-files.ts'
import type { PeerNode } from '../../src/p2p/peers/peer-node.ts'

const OWNED_BY_ROOT = {
  uid: 0,
  gid: 0,
  mtimeSeconds: 1_700_000_000,
  mtimeNanoseconds: 0,
  deviceMajor: 0,
  deviceMinor: 0
}

/** Publishes an image of a few small files, block by block, as a publisher does. */
export async function writeTinyImage(
  writer: DriveWriter,
  files: Readonly<Record<string, string>>,
  versions: Manifest['versions'] = [],
  tamper: (packedIndex: Buffer) => Buffer = (packed) => packed
): Promise<{ manifest: Manifest; tree: ColumnTree }> {
  const builder = new TreeBuilder()
  for (const [name, content] of Object.entries(files)) {
    const { stored, raw } = compressChunk(Buffer.from(content))
    const chunk = builder.addChunk(await writer.append([stored]), stored.length, raw)
    const attributes: InodeAttributes = { ...OWNED_BY_ROOT, type: 'file', mode: 0o644 }
    const extents = [{ position: 0, chunk, count: 1 }]
    const inode = builder.addInode(attributes, { size: Buffer.byteLength(content), extents })
    builder.link(0, Buffer.from(name), inode)
  }
  const tree = builder.finish()
  const packed = tamper(encodeIndex(tree))
  const blocks = compressPart(packed)
  const index = pointerTo(blocks, await writer.append(blocks), packed.length)
  const hashBlocks = compressPart(Buffer.alloc(16 * tree.chunks.length))
  const chunkHashes = pointerTo(
    hashBlocks,
    await writer.append(hashBlocks),
    16 * tree.chunks.length
  )
  const bytes = Object.values(files).reduce((sum, content) => sum + Buffer.byteLength(content), 0)
  const storedBytes = tree.chunks.storedBytes
    .slice(0, tree.chunks.length)
    .reduce((a, b) => a + b, 0)
  const version = versions.length + 1
  const created = new Date(1_700_000_000_000).toISOString()
  const count = Object.keys(files).length
  const record = {
    version,
    blocks: writer.length + 1,
    created,
    files: count,
    bytes,
    newBytes: storedBytes
  }
  const manifest: Manifest = {
    format: 'dat-container',
    formatVersion: 1,
    version,
    name: 'tiny',
    arch: 'amd64',
    os: 'linux',
    created,
    source: { kind: 'directory' },
    start: { mode: 'process', argv: ['/bin/sh'] },
    files: count,
    entries: count,
    bytes,
    storedBytes,
    chunks: tree.chunks.length,
    index,
    chunkHashes,
    versions: [...versions, record]
  }
  return { manifest, tree }
}

/**
 * Publishes such an image on a node, and announces it.
 *
 * @param blocks of the log before it, which no file uses
 * @param namespace another one for each image of a node
 */
export async function seedTinyImage(
  owner: PeerNode,
  files: Readonly<Record<string, string>>,
  signal: AbortSignal,
  blocks: readonly Uint8Array[] = [],
  namespace = 'one'
) {
  const secret = DriveWriter.newSecret()
  const writer = await DriveWriter.open({ node: owner, namespace, secret })
  if (blocks.length > 0) await writer.append(blocks)
  const { manifest, tree } = await writeTinyImage(writer, files)
  await commitTree(writer, manifest, tree)
  const { key } = writer
  await writer[Symbol.asyncDispose]()
  const seeded = new DriveSession({ node: owner, key, secret, role: 'owner' })
  await seeded.open(signal)
  await seeded.announced()
  return { key, secret, manifest, tree, seeded }
}

/** Commits a version whose content is there, and has its files listed. @param previous tree of the version before, if any */
export async function commitTree(
  writer: DriveWriter,
  manifest: Manifest,
  tree: ColumnTree,
  previous?: ColumnTree
): Promise<void> {
  const { signal } = new AbortController()
  await writer.commit(manifest)
  if (previous) {
    await writer.listFiles(listChanges(previous, tree), signal)
    return
  }
  await using thread = new EntriesThread()
  await thread.check(new Uint8Array(encodeIndex(tree)), signal)
  await writer.listFiles(listFirst(thread), signal)
}
