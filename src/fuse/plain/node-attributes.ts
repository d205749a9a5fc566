import { CHUNK_BYTES, type Tree } from '../../image/tree/tree.ts'
import { MODE_TYPE } from '../../image/tree/mode-type.ts'
import { BLOCK_BYTES } from '../erofs/erofs-format.ts'
import { encodeDevice } from '../erofs/erofs-inode.ts'
import { ROOT_NODE } from '../protocol/fuse-protocol.ts'
import type { NodeAttributes } from '../protocol/fuse-reply.ts'

const STAT_BLOCK_BYTES = 512

/** Nodes are the tree's inodes, counted from the number that FUSE gives the root. */
export function nodeOf(inode: number): number {
  return inode + ROOT_NODE
}

/** @returns undefined for a node that is none of the tree's */
export function inodeOf(tree: Tree, node: number): number | undefined {
  const inode = node - ROOT_NODE
  return inode >= 0 && inode < tree.inodeCount ? inode : undefined
}

/** What stat(2) shows of an inode. */
export function nodeAttributes(tree: Tree, inode: number): NodeAttributes {
  const attributes = tree.attributes(inode)
  const { type, mode, uid, gid, mtimeSeconds, mtimeNanoseconds } = attributes
  return {
    node: nodeOf(inode),
    mode: MODE_TYPE[type] | mode,
    uid,
    gid,
    size: type === 'directory' ? BLOCK_BYTES : tree.size(inode),
    blocks: type === 'file' ? dataBlocks(tree, inode) : 0,
    linkCount: tree.linkCount(inode),
    device: encodeDevice(attributes.deviceMajor, attributes.deviceMinor),
    blockBytes: BLOCK_BYTES,
    mtimeSeconds,
    mtimeNanoseconds
  }
}

/** What programs tell sparse files by: the blocks that hold data. */
function dataBlocks(tree: Tree, inode: number): number {
  let chunks = 0
  for (const { count } of tree.extents(inode)) chunks += count
  const size = Math.ceil(tree.size(inode) / BLOCK_BYTES) * BLOCK_BYTES
  return Math.min(chunks * CHUNK_BYTES, size) / STAT_BLOCK_BYTES
}
