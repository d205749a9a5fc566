import { lstatSync, readdirSync, readFileSync, readlinkSync, type BigIntStats } from 'node:fs'
import type { ChunkReader } from '../../src/image/chunk/chunk-reader.ts'
import { ContainerError } from '../../src/core/errors.ts'
import { TreeBuilder } from '../../src/image/tree/tree-builder.ts'
import {
  CHUNK_BYTES,
  type Extent,
  type FileType,
  type InodeAttributes,
  type Tree,
  type Xattr
} from '../../src/image/tree/tree.ts'
import { getXattr, listXattrs } from './system-calls.ts'

const STAT_BLOCK_BYTES = 512

/** How reads go: normally, failing, or not answering until they work again. */
export type ChunkState = 'working' | 'failing' | 'silent'

/** Chunks in memory, that counts what is read and fails when told to. */
export class MemoryChunks implements ChunkReader {
  readonly contents: Buffer[] = []
  /** Every read, in order. */
  readonly reads: number[] = []
  readonly #waiting: (() => void)[] = []
  #state: ChunkState = 'working'

  /** Reads that wait go on when it works again. */
  become(state: ChunkState): void {
    this.#state = state
    if (state === 'working') for (const goOn of this.#waiting.splice(0)) goOn()
  }

  async read(chunk: number): Promise<Uint8Array> {
    this.reads.push(chunk)
    if (this.#state === 'silent') await new Promise<void>((resolve) => this.#waiting.push(resolve))
    const content = this.contents[chunk]
    if (this.#state === 'failing' || content === undefined) {
      throw new ContainerError('PEERS_UNREACHABLE', 'told to fail')
    }
    return content
  }
}

export interface ScannedImage {
  readonly tree: Tree
  readonly chunks: MemoryChunks
}

/** Makes an image in memory of a real directory, the way publishing does. */
export function scanDirectory(root: string): ScannedImage {
  const scan = new Scan()
  return scan.run(Buffer.from(root))
}

class Scan {
  readonly #chunks = new MemoryChunks()
  /** By device and inode number of the source. */
  readonly #hardlinks = new Map<string, number>()
  #builder = new TreeBuilder()

  run(root: Buffer): ScannedImage {
    this.#builder = new TreeBuilder(attributesOf(lstatSync(root, { bigint: true })))
    this.#builder.setXattrs(0, xattrsOf(root))
    this.#children(root, 0)
    return { tree: this.#builder.finish(), chunks: this.#chunks }
  }

  #children(path: Buffer, directory: number): void {
    for (const name of readdirSync(path, { encoding: 'buffer' })) {
      const child = Buffer.concat([path, Buffer.from('/'), name])
      const stats = lstatSync(child, { bigint: true })
      const key = `${stats.dev}:${stats.ino}`
      const inode = this.#hardlinks.get(key) ?? this.#add(child, stats)
      if (stats.nlink > 1 && !stats.isDirectory()) this.#hardlinks.set(key, inode)
      this.#builder.link(directory, name, inode)
      if (stats.isDirectory()) this.#children(child, inode)
    }
  }

  #add(path: Buffer, stats: BigIntStats): number {
    const attributes = attributesOf(stats)
    const xattrs = xattrsOf(path)
    if (stats.isSymbolicLink()) {
      const symlinkTarget = readlinkSync(path, { encoding: 'buffer' })
      return this.#builder.addInode(attributes, { symlinkTarget, xattrs })
    }
    if (!stats.isFile()) return this.#builder.addInode(attributes, { xattrs })
    const size = Number(stats.size)
    const sparse = Number(stats.blocks) * STAT_BLOCK_BYTES < size
    const extents = this.#store(readFileSync(path), sparse)
    return this.#builder.addInode(attributes, { size, xattrs, extents })
  }

  #store(content: Buffer, sparse: boolean): Extent[] {
    const extents: Extent[] = []
    for (let offset = 0; offset < content.length; offset += CHUNK_BYTES) {
      const piece = content.subarray(offset, offset + CHUNK_BYTES)
      const position = offset / CHUNK_BYTES
      if (sparse && piece.every((byte) => byte === 0)) continue
      const chunk = this.#builder.addChunk(this.#chunks.contents.length, piece.length, true)
      this.#chunks.contents.push(piece)
      const last = extents.at(-1)
      if (last !== undefined && last.position + last.count === position) {
        extents[extents.length - 1] = { ...last, count: last.count + 1 }
      } else {
        extents.push({ position, chunk, count: 1 })
      }
    }
    return extents
  }
}

function attributesOf(stats: BigIntStats): InodeAttributes {
  const seconds = floorDivide(stats.mtimeNs, 1_000_000_000n)
  const rdev = Number(stats.rdev)
  return {
    type: typeOf(stats),
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtimeSeconds: Number(seconds),
    mtimeNanoseconds: Number(stats.mtimeNs - seconds * 1_000_000_000n),
    deviceMajor: (rdev >>> 8) & 0xfff,
    deviceMinor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00)
  }
}

function floorDivide(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor
  return value % divisor < 0n ? quotient - 1n : quotient
}

function typeOf(stats: BigIntStats): FileType {
  if (stats.isDirectory()) return 'directory'
  if (stats.isSymbolicLink()) return 'symlink'
  if (stats.isFIFO()) return 'fifo'
  if (stats.isSocket()) return 'socket'
  if (stats.isCharacterDevice()) return 'character'
  return stats.isBlockDevice() ? 'block' : 'file'
}

/** Paths that are not UTF-8 have no xattrs in these tests. */
function xattrsOf(path: Buffer): Xattr[] {
  const text = path.toString()
  if (!Buffer.from(text).equals(path)) return []
  return listXattrs(text).map((name) => ({ name: Buffer.from(name), value: getXattr(text, name) }))
}
