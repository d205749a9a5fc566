import type { ColumnTree } from '../tree/column-tree.ts'
import { badIndex } from '../tree/tree-limits.ts'
import { decodeProfile, MAX_PROFILE_BYTES, type BootProfile } from './boot-profile.ts'
import { readChunkHashes, type ChunkHashes } from './chunk-hashes.ts'
import { decompressPart, readPartBlocks, type ReadBlock } from './image-part.ts'
import { decodeIndex } from './index-decoder.ts'
import { MAX_INDEX_BYTES } from './index-format.ts'
import { readStoredIndex, type StoredIndex } from './index-part.ts'
import type { Manifest, PartPointer } from './manifest.ts'

/**
 * Reads the parts of one version of an image, wherever its blocks come from. Everything is checked before it is
 * returned: size, digest and structure.
 *
 * All methods throw ContainerError `BAD_INDEX` for what is damaged, and what reading a block throws.
 */
export class VersionReader {
  readonly #manifest: Manifest
  readonly #readBlock: ReadBlock

  /** @param readBlock asked for all blocks of a part at once */
  constructor(manifest: Manifest, readBlock: ReadBlock) {
    this.#manifest = manifest
    this.#readBlock = readBlock
  }

  /** The packed index. */
  index(): Promise<StoredIndex> {
    return readStoredIndex(this.#manifest, this.#readBlock)
  }

  /** The index, decoded. */
  async tree(): Promise<ColumnTree> {
    return decodeIndex((await this.index()).packed)
  }

  /** The content hashes of the version's chunks. */
  chunkHashes(): Promise<ChunkHashes> {
    return readChunkHashes(this.#manifest, (part) => this.#part(part, MAX_INDEX_BYTES))
  }

  /**
   * The publisher's profile of a start; undefined where the version has none.
   *
   * @param chunks how many the tree has
   */
  async profile(chunks: number): Promise<BootProfile | undefined> {
    return (await this.packedProfile())?.(chunks)
  }

  /** {@link profile}, fetched before the tree is known. */
  async packedProfile(): Promise<((chunks: number) => BootProfile) | undefined> {
    const { profile } = this.#manifest
    if (profile === undefined) return undefined
    const packed = await this.#part(profile, MAX_PROFILE_BYTES)
    return (chunks) => decodeProfile(packed, chunks)
  }

  async #part(part: PartPointer, limitBytes: number): Promise<Buffer> {
    if (Math.max(part.storedBytes, part.bytes) > limitBytes) {
      throw badIndex('a part is larger than any may be')
    }
    return decompressPart(await readPartBlocks(part, this.#readBlock), part, limitBytes)
  }
}
