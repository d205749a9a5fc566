import { crc32c } from './crc32c.ts'
import { BLOCK_BITS, BLOCK_BYTES } from './erofs-format.ts'

const SUPERBLOCK_OFFSET = 1024
const SUPERBLOCK_BYTES = 128
const DEVICE_SLOT_BYTES = 128
/** In the slot of a device. */
const DATA_BLOCKS_AT = 64
const MAGIC = 0xe0f5e1e2
const FEATURE_COMPAT_CHECKSUM = 1
const FEATURE_INCOMPAT_CHUNKED_FILE = 4
const FEATURE_INCOMPAT_DEVICE_TABLE = 8

export interface SuperblockFields {
  /** Below 2^16. */
  readonly rootNid: number
  readonly inodes: number
  /** Blocks of the metadata image, which is also where the data device begins in the address space. */
  readonly blocks: number
  readonly sharedXattrBlock: number
  readonly dataBlocks: number
}

/** Block 0: 1 KiB of zeros, the superblock, and a device table of one device. */
export function encodeSuperblock(fields: SuperblockFields): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES)
  const superblock = block.subarray(SUPERBLOCK_OFFSET)
  superblock.writeUInt32LE(MAGIC, 0)
  superblock.writeUInt32LE(FEATURE_COMPAT_CHECKSUM, 8)
  superblock.writeUInt8(BLOCK_BITS, 12)
  superblock.writeUInt16LE(fields.rootNid, 14)
  superblock.writeBigUInt64LE(BigInt(fields.inodes), 16)
  superblock.writeUInt32LE(fields.blocks, 36)
  // The metadata area begins at block 0, so that no inode has the number 0: readdir(3) skips those.
  superblock.writeUInt32LE(0, 40)
  superblock.writeUInt32LE(fields.sharedXattrBlock, 44)
  superblock.writeUInt32LE(FEATURE_INCOMPAT_CHUNKED_FILE | FEATURE_INCOMPAT_DEVICE_TABLE, 80)
  superblock.writeUInt16LE(1, 86)
  superblock.writeUInt16LE((SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES) / DEVICE_SLOT_BYTES, 88)

  const device = superblock.subarray(SUPERBLOCK_BYTES)
  device.writeUInt32LE(fields.dataBlocks, DATA_BLOCKS_AT)
  device.writeUInt32LE(fields.blocks, 68)

  // Over the rest of the block, with the checksum field still 0.
  superblock.writeUInt32LE(crc32c(superblock), 4)
  return block
}

/** How many blocks the data device has, by block 0 of an image that {@link encodeSuperblock} made. */
export function dataBlocksIn(block: Buffer): number {
  return block.readUInt32LE(SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES + DATA_BLOCKS_AT)
}
