/**
 * What encoder and decoder of the packed index share. The layout is described in
 * `docs/image-format.md`.
 */
export const INDEX_MAGIC = Buffer.from('DCIX')
export const INDEX_VERSION = 2
/** Has a block for each chunk, and no column of offsets. */
export const INDEX_VERSION_WITHOUT_OFFSETS = 1
/** Packed bytes a reader accepts; a tree of a million files takes about 40 MiB. */
export const MAX_INDEX_BYTES = 512 * 1024 * 1024

/** The columns, in the order they are written, each behind its length in bytes. */
export const INDEX_COLUMNS = [
  'attributeSets',
  'attributeSet',
  'mtimeSeconds',
  'mtimeNanoseconds',
  'devices',
  'sizes',
  'layouts',
  'entryCounts',
  'namePrefixes',
  'nameSuffixes',
  'nameBytes',
  'entryInodes',
  'targetLengths',
  'targetBytes',
  'xattrSets',
  'xattrInodes',
  'chunkBlocks',
  'chunkStored',
  'chunkOffsets'
] as const
export type IndexColumn = (typeof INDEX_COLUMNS)[number]

/**
 * First number of a file's layout. `SEQUENTIAL`: one extent covers the file and begins with the
 * lowest chunk number that no file before it used. Anything else: that many extents less one follow.
 */
export const SEQUENTIAL = 0
