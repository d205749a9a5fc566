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

/**
 * Something for each column, made in the order in which they are written. Written out: V8 is slow to look
 * into an object of so many names that is made of a list.
 */
export const eachColumn = <T>(make: (name: string) => T) => ({
  attributeSets: make('attributeSets'),
  attributeSet: make('attributeSet'),
  mtimeSeconds: make('mtimeSeconds'),
  mtimeNanoseconds: make('mtimeNanoseconds'),
  devices: make('devices'),
  sizes: make('sizes'),
  layouts: make('layouts'),
  entryCounts: make('entryCounts'),
  namePrefixes: make('namePrefixes'),
  nameSuffixes: make('nameSuffixes'),
  nameBytes: make('nameBytes'),
  entryInodes: make('entryInodes'),
  targetLengths: make('targetLengths'),
  targetBytes: make('targetBytes'),
  xattrSets: make('xattrSets'),
  xattrInodes: make('xattrInodes'),
  chunkBlocks: make('chunkBlocks'),
  chunkStored: make('chunkStored'),
  chunkOffsets: make('chunkOffsets')
})
export type IndexColumn = keyof ReturnType<typeof eachColumn>

/** The columns, in that order, each behind its length in bytes. */
export const INDEX_COLUMNS = Object.keys(eachColumn((name) => name)) as readonly IndexColumn[]

/**
 * First number of a file's layout. `SEQUENTIAL`: one extent covers the file and begins with the
 * lowest chunk number that no file before it used. Anything else: that many extents less one follow.
 */
export const SEQUENTIAL = 0
