import { createHash } from 'node:crypto'
import { copyFile, link, open, rm, type FileHandle } from 'node:fs/promises'
import { AtomicFile } from '../../core/atomic-file.ts'
import { systemErrorCode } from '../../core/errors.ts'
import type { Tree } from '../../image/tree/tree.ts'
import { BLOCK_BYTES, hasCoarseHoles } from '../content/data-layout.ts'
import { hasOverlayMarks } from '../content/escaped-tree.ts'
import { dataBlocksIn } from './erofs-superblock.ts'

/**
 * Raised with every change of what `planDataLayout` or `writeErofsImage` make of a tree: an image that was
 * kept before would then describe another data device. 2: none is kept of a tree that
 * {@link isKeepable} excludes.
 */
export const METADATA_FORMAT = 2

/**
 * Whether the metadata image of a tree may be kept. Not where what is to be done differs by what the tree holds: a mount
 * that takes a kept one does not look.
 *
 * @param hasMarks whether {@link hasOverlayMarks}, for who knows: it looks at all of a tree
 */
export function isKeepable(tree: Tree, hasMarks = hasOverlayMarks(tree)): boolean {
  return !hasMarks && !hasCoarseHoles(tree)
}

const DIGEST = 'sha256'
const DIGEST_BYTES = 32
const PIECE_BYTES = 1024 * 1024

/**
 * Keeps a copy of a metadata image at `kept`, whole or not at all, with its digest after it: the kernel
 * is given nothing that a disk has damaged.
 *
 * @throws ContainerError `DISK_FULL`, `IO`; nothing is there then that was not before
 */
export async function keepMetadata(meta: string, kept: string): Promise<void> {
  await using target = await AtomicFile.create(kept)
  const source = await open(meta, 'r')
  try {
    const hash = createHash(DIGEST)
    let position = 0
    for await (const piece of pieces(source, Infinity)) {
      hash.update(piece)
      await target.writeAt(piece, position)
      position += piece.length
    }
    await target.writeAt(hash.digest(), position)
  } finally {
    await source.close()
  }
  await target.commit()
}

/**
 * Puts a kept metadata image at `meta`, which must not exist.
 *
 * @returns blocks of its data device; undefined where there is none that is whole, and one that is not
 *   is removed
 */
export async function takeKeptMetadata(kept: string, meta: string): Promise<number | undefined> {
  try {
    if (!(await isWhole(kept))) {
      await rm(kept, { force: true })
      return undefined
    }
    // No copy where both lie on one file system. Removing one leaves the other.
    await link(kept, meta).catch(() => copyFile(kept, meta))
    return await dataBlocksOf(meta)
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error
    await rm(meta, { force: true })
    return undefined
  }
}

async function dataBlocksOf(meta: string): Promise<number> {
  const file = await open(meta, 'r')
  try {
    const block = Buffer.alloc(BLOCK_BYTES)
    await file.read(block, 0, BLOCK_BYTES, 0)
    return dataBlocksIn(block)
  } finally {
    await file.close()
  }
}

async function isWhole(path: string): Promise<boolean> {
  const file = await open(path, 'r')
  try {
    const bytes = (await file.stat()).size - DIGEST_BYTES
    if (bytes <= 0) return false
    const hash = createHash(DIGEST)
    for await (const piece of pieces(file, bytes)) hash.update(piece)
    const expected = Buffer.alloc(DIGEST_BYTES)
    await file.read(expected, 0, DIGEST_BYTES, bytes)
    return hash.digest().equals(expected)
  } finally {
    await file.close()
  }
}

/** The first bytes of a file, in views of one buffer that the next overwrites. */
async function* pieces(file: FileHandle, bytes: number): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafe(PIECE_BYTES)
  for (let position = 0; position < bytes;) {
    const most = Math.min(PIECE_BYTES, bytes - position)
    const { bytesRead } = await file.read(buffer, 0, most, position)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    position += bytesRead
  }
}
