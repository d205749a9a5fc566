/**
 * The filesystem tree of one image, held in columns (typed arrays) so that an image of 200,000 files
 * costs tens of bytes an inode instead of an object each. Inode 0 is the root directory. Names and
 * symlink targets are bytes, as in Linux: they need not be UTF-8.
 */

/** Bytes of file content in one chunk; the last chunk of a file may be shorter. */
export const CHUNK_BYTES = 64 * 1024

export const FILE_TYPES = [
  'file',
  'directory',
  'symlink',
  'fifo',
  'socket',
  'character',
  'block'
] as const
export type FileType = (typeof FILE_TYPES)[number]

/** An extended attribute; `name` is the full name with its namespace, e.g. `security.capability`. */
export interface Xattr {
  readonly name: Uint8Array
  readonly value: Uint8Array
}

/** What stat(2) tells of an inode, apart from its size and content. */
export interface InodeAttributes {
  readonly type: FileType
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Whole seconds since the epoch, may be negative. */
  readonly mtimeSeconds: number
  /** 0 to 999,999,999. */
  readonly mtimeNanoseconds: number
  /** Device number of a device node; 0 for every other type. */
  readonly deviceMajor: number
  readonly deviceMinor: number
}

/**
 * A run of a file's chunks that are stored under consecutive chunk numbers. Chunk positions of a
 * file that no extent covers are holes and read as zeros.
 */
export interface Extent {
  /** Position within the file, in chunks of {@link CHUNK_BYTES}. */
  readonly position: number
  /** First chunk number (an index into {@link ChunkTable}). */
  readonly chunk: number
  /** How many chunks. */
  readonly count: number
}

/**
 * Where each distinct chunk is stored: in a part of a block of the drive's blobs core, which others may
 * share. Equal chunks have one number.
 */
export interface ChunkTable {
  readonly length: number
  /** Block index in the blobs core. */
  readonly block: Uint32Array
  /** First byte in the block, before the drive's encryption. */
  readonly offset: Uint32Array
  /** Bytes from there. */
  readonly storedBytes: Uint32Array
  /** 1 where they are the content itself, 0 where they are a zstd frame of it. */
  readonly raw: Uint8Array
}

/** A read-only image tree. Inode numbers run from 0 to `inodeCount - 1`; entries are names. */
export interface Tree {
  readonly inodeCount: number
  /** Directory entries in all, the root not counted. */
  readonly entryCount: number
  readonly chunks: ChunkTable
  /** Content bytes of each chunk; 0 for one that no file uses. */
  readonly chunkBytes: Uint32Array

  attributes(inode: number): InodeAttributes
  type(inode: number): FileType
  /** Content bytes of a file, target length of a symlink, 0 otherwise. */
  size(inode: number): number
  /** Names of a file; for a directory 2 + its subdirectories, as Linux counts. */
  linkCount(inode: number): number
  symlinkTarget(inode: number): Uint8Array
  xattrs(inode: number): readonly Xattr[]
  /** Extents in order of position, not overlapping; empty for everything but files. */
  extents(inode: number): readonly Extent[]
  /** The parent of a directory; the root's parent is the root. */
  parent(directory: number): number

  /** First entry number of a directory; its entries are consecutive and sorted by name bytes. */
  firstEntry(directory: number): number
  directoryEntryCount(directory: number): number
  entryName(entry: number): Uint8Array
  entryInode(entry: number): number

  /** Entry number of one name in a directory, or undefined. Binary search. */
  findEntry(directory: number, name: Uint8Array): number | undefined
  /** Inode of one name in a directory, or undefined. */
  lookup(directory: number, name: Uint8Array): number | undefined
}
