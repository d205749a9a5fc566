import { ContainerError } from '../../core/errors.ts'
import type { Tree } from '../../image/tree/tree.ts'
import { granuleBytes, isSparse, type DataLayout } from '../content/data-layout.ts'
import { measureDirectory } from './erofs-directory.ts'
import {
  alignUp,
  BLOCK_BYTES,
  CHUNK_INDEX_BYTES,
  DATA_LAYOUT,
  INODE_BYTES,
  MAX_BLOCKS,
  SLOT_BYTES,
  type InodeLayout
} from './erofs-format.ts'
import { XattrTable } from './erofs-xattr.ts'
import { visibleXattrs } from '../content/visible-xattrs.ts'

/**
 * Where everything of a metadata image goes: block 0 with the superblock, then the inodes with what
 * is stored beside them, then blocks of large directories and long symlinks, then shared xattrs.
 */
export interface ErofsPlan {
  readonly nids: Uint32Array
  /** {@link DATA_LAYOUT} of every inode. */
  readonly layouts: Uint8Array
  /** First block of an inode's own blocks in the metadata image, where it has any. */
  readonly ownBlock: Uint32Array
  /** Bytes of a directory, as stat(2) shows it. */
  readonly directoryBytes: Float64Array
  readonly xattrs: XattrTable
  readonly sharedXattrBlock: number
  readonly sharedXattrs: Buffer
  /** Blocks of the metadata image. */
  readonly blocks: number
}

interface Footprint {
  readonly layout: InodeLayout
  /** Bytes from the inode's start to the end of what is stored beside it. */
  readonly bytes: number
  /** Blocks elsewhere in the metadata image. */
  readonly ownBlocks: number
}

/**
 * Plans the metadata image of a tree.
 *
 * @throws ContainerError `MISSING_TOOL` when the format cannot hold the tree: more than 2^32 blocks
 *   (16 TiB), or an oversized extended attribute
 */
export function planErofsImage(tree: Tree, data: DataLayout): ErofsPlan {
  const { inodeCount } = tree
  const xattrs = new XattrTable(tree)
  const nids = new Uint32Array(inodeCount)
  const layouts = new Uint8Array(inodeCount)
  const ownBlock = new Uint32Array(inodeCount)
  const directoryBytes = new Float64Array(inodeCount)
  let position = BLOCK_BYTES
  let ownBlocks = 0
  for (let inode = 0; inode < inodeCount; inode++) {
    const xattrBytes = visibleXattrs(tree, inode).length === 0 ? 0 : xattrs.area(inode).length
    const footprint = measure(tree, inode, INODE_BYTES + xattrBytes, directoryBytes)
    position = place(position, footprint)
    nids[inode] = position / SLOT_BYTES
    layouts[inode] = footprint.layout
    ownBlock[inode] = ownBlocks
    position += footprint.bytes
    ownBlocks += footprint.ownBlocks
  }
  const firstOwnBlock = Math.ceil(position / BLOCK_BYTES)
  for (let inode = 0; inode < inodeCount; inode++) {
    ownBlock[inode] = (ownBlock[inode] ?? 0) + firstOwnBlock
  }
  const sharedXattrs = xattrs.sharedArea()
  const sharedXattrBlock = firstOwnBlock + ownBlocks
  const blocks = sharedXattrBlock + Math.ceil(sharedXattrs.length / BLOCK_BYTES)
  if (blocks + data.blocks >= MAX_BLOCKS) {
    throw new ContainerError('MISSING_TOOL', 'EROFS cannot hold an image of 16 TiB or more', {
      hint: 'mount with --mount fuse'
    })
  }
  return {
    nids,
    layouts,
    ownBlock,
    directoryBytes,
    xattrs,
    sharedXattrBlock,
    sharedXattrs,
    blocks
  }
}

/** The next place an inode may begin: in a slot, and so that the kernel finds its parts whole. */
function place(position: number, { layout, bytes }: Footprint): number {
  const aligned = alignUp(position, SLOT_BYTES)
  const room = BLOCK_BYTES - (aligned % BLOCK_BYTES)
  // Inline data must lie in one block; for all others only the inode itself.
  const together = layout === DATA_LAYOUT.flatInline ? bytes : INODE_BYTES
  return together <= room ? aligned : alignUp(aligned, BLOCK_BYTES)
}

/** @param headBytes inode and xattrs */
function measure(
  tree: Tree,
  inode: number,
  headBytes: number,
  directoryBytes: Float64Array
): Footprint {
  const type = tree.type(inode)
  const size = tree.size(inode)
  if (type === 'directory') {
    const { blocks, tailBytes } = measureDirectory(tree, inode)
    directoryBytes[inode] = (blocks - 1) * BLOCK_BYTES + tailBytes
    return withTail(headBytes, blocks, tailBytes)
  }
  if (type === 'symlink') return withTail(headBytes, 1, size)
  if (type === 'file' && isSparse(tree, inode)) {
    const count = Math.ceil(size / granuleBytes(size))
    const bytes = alignUp(headBytes, CHUNK_INDEX_BYTES) + count * CHUNK_INDEX_BYTES
    return { layout: DATA_LAYOUT.chunkBased, bytes, ownBlocks: 0 }
  }
  return { layout: DATA_LAYOUT.flatPlain, bytes: headBytes, ownBlocks: 0 }
}

/** Puts the last block beside the inode if both fit one block. */
function withTail(headBytes: number, blocks: number, tailBytes: number): Footprint {
  return headBytes + tailBytes <= BLOCK_BYTES
    ? { layout: DATA_LAYOUT.flatInline, bytes: headBytes + tailBytes, ownBlocks: blocks - 1 }
    : { layout: DATA_LAYOUT.flatPlain, bytes: headBytes, ownBlocks: blocks }
}
