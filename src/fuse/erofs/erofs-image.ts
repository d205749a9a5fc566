import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import type { Tree } from '../../image/tree/tree.ts'
import { BLOCK_BYTES, granuleBytes, type DataLayout } from '../content/data-layout.ts'
import { encodeDirectory } from './erofs-directory.ts'
import {
  BLOCK_BITS,
  CHUNK_INDEX_BYTES,
  DATA_LAYOUT,
  INODE_BYTES,
  NULL_BLOCK,
  SLOT_BYTES,
  type InodeLayout
} from './erofs-format.ts'
import { encodeDevice, encodeInode } from './erofs-inode.ts'
import { planErofsImage, type ErofsPlan } from './erofs-plan.ts'
import { encodeSuperblock } from './erofs-superblock.ts'
import { RegionWriter } from './region-writer.ts'
import { visibleXattrs } from '../content/visible-xattrs.ts'

const CHUNK_FORMAT_INDEXES = 0x20
/** Number of the data device in chunk indexes. */
const DATA_DEVICE = 1

/**
 * Writes an EROFS image that holds all of a tree but the content of its files, which it looks for on
 * the data device that `data` describes. Memory is bounded by columns of the inode count, not by the
 * image. The file appears at `path` whole or not at all.
 *
 * @throws ContainerError `MISSING_TOOL` when the format cannot hold the tree
 */
export async function writeErofsImage(tree: Tree, data: DataLayout, path: string): Promise<void> {
  const plan = planErofsImage(tree, data)
  const unfinished = `${path}.unfinished`
  try {
    // A mounter that was killed may have left one.
    await rm(unfinished, { force: true })
    const file = await open(unfinished, 'wx', 0o600)
    try {
      await writeImage(file, tree, data, plan)
    } finally {
      await file.close()
    }
    await rename(unfinished, path)
  } catch (error) {
    await rm(unfinished, { force: true })
    throw error
  }
}

async function writeImage(
  file: FileHandle,
  tree: Tree,
  data: DataLayout,
  plan: ErofsPlan
): Promise<void> {
  const superblock = encodeSuperblock({
    rootNid: plan.nids[0] ?? 0,
    inodes: tree.inodeCount,
    blocks: plan.blocks,
    sharedXattrBlock: plan.sharedXattrBlock,
    dataBlocks: data.blocks
  })
  await file.write(superblock, 0, superblock.length, 0)
  const inodes = new RegionWriter(file, BLOCK_BYTES)
  const blocks = new RegionWriter(file, (plan.ownBlock[0] ?? 0) * BLOCK_BYTES)
  for (let inode = 0; inode < tree.inodeCount; inode++) {
    inodes.skipTo((plan.nids[inode] ?? 0) * SLOT_BYTES)
    writeInode(tree, data, plan, inode, inodes, blocks)
    if (inodes.full) await inodes.flush()
    if (blocks.full) await blocks.flush()
  }
  await inodes.flush()
  await blocks.flush()
  const { sharedXattrs, sharedXattrBlock } = plan
  await file.write(sharedXattrs, 0, sharedXattrs.length, sharedXattrBlock * BLOCK_BYTES)
  await file.truncate(plan.blocks * BLOCK_BYTES)
}

function writeInode(
  tree: Tree,
  data: DataLayout,
  plan: ErofsPlan,
  inode: number,
  inodes: RegionWriter,
  blocks: RegionWriter
): void {
  const attributes = tree.attributes(inode)
  const layout = (plan.layouts[inode] ?? 0) as InodeLayout
  const xattrs = visibleXattrs(tree, inode).length === 0 ? undefined : plan.xattrs.area(inode)
  const isDirectory = attributes.type === 'directory'
  encodeInode(inodes.take(INODE_BYTES), {
    attributes,
    layout,
    xattrBytes: xattrs?.length ?? 0,
    size: isDirectory ? (plan.directoryBytes[inode] ?? 0) : tree.size(inode),
    linkCount: tree.linkCount(inode),
    payload: payload(tree, data, plan, inode, layout),
    number: inode + 1
  })
  if (xattrs !== undefined) inodes.take(xattrs.length).set(xattrs)
  const inline = layout === DATA_LAYOUT.flatInline
  if (isDirectory) {
    encodeDirectory(tree, inode, plan.nids, (bytes, last) =>
      last && inline ? inodes.take(bytes) : blocks.take(BLOCK_BYTES)
    )
  } else if (attributes.type === 'symlink') {
    const target = tree.symlinkTarget(inode)
    const memory = inline ? inodes.take(target.length) : blocks.take(BLOCK_BYTES)
    memory.set(target)
  } else if (layout === DATA_LAYOUT.chunkBased) {
    const misaligned = (xattrs?.length ?? 0) % CHUNK_INDEX_BYTES
    if (misaligned > 0) inodes.take(CHUNK_INDEX_BYTES - misaligned)
    writeChunkIndexes(tree, data, inode, inodes)
  }
}

/** The inode's 32 bits whose meaning depends on what it is. */
function payload(
  tree: Tree,
  data: DataLayout,
  plan: ErofsPlan,
  inode: number,
  layout: InodeLayout
): number {
  const type = tree.type(inode)
  if (type === 'character' || type === 'block') {
    const { deviceMajor, deviceMinor } = tree.attributes(inode)
    return encodeDevice(deviceMajor, deviceMinor)
  }
  if (type === 'directory' || type === 'symlink') return plan.ownBlock[inode] ?? 0
  if (type !== 'file') return 0
  if (layout === DATA_LAYOUT.chunkBased) {
    const granuleBits = Math.log2(granuleBytes(tree.size(inode)))
    return CHUNK_FORMAT_INDEXES | (granuleBits - BLOCK_BITS)
  }
  // The data device follows the metadata image in one address space of blocks.
  const segment = data.firstSegment[inode] ?? 0
  return tree.size(inode) === 0 ? NULL_BLOCK : plan.blocks + (data.block[segment] ?? 0)
}

/** One index for each granule of a sparse file: where it lies on the data device, or a hole. */
function writeChunkIndexes(
  tree: Tree,
  data: DataLayout,
  inode: number,
  inodes: RegionWriter
): void {
  const size = tree.size(inode)
  const granule = granuleBytes(size)
  const count = Math.ceil(size / granule)
  const indexes = inodes.take(count * CHUNK_INDEX_BYTES)
  for (let index = 0; index < count; index++) {
    indexes.writeUInt32LE(NULL_BLOCK, index * CHUNK_INDEX_BYTES + 4)
  }
  const end = data.firstSegment[inode + 1] ?? 0
  for (let segment = data.firstSegment[inode] ?? 0; segment < end; segment++) {
    const position = data.position[segment] ?? 0
    const granules = Math.ceil((data.bytes[segment] ?? 0) / granule)
    for (let step = 0; step < granules; step++) {
      const at = (position / granule + step) * CHUNK_INDEX_BYTES
      indexes.writeUInt16LE(DATA_DEVICE, at + 2)
      const block = (data.block[segment] ?? 0) + (step * granule) / BLOCK_BYTES
      indexes.writeUInt32LE(block, at + 4)
    }
  }
}
