import type { FileType } from './tree.ts'

/** File type bits of a mode, from stat(2). */
export const MODE_TYPE: Readonly<Record<FileType, number>> = {
  fifo: 0o010_000,
  character: 0o020_000,
  directory: 0o040_000,
  block: 0o060_000,
  file: 0o100_000,
  symlink: 0o120_000,
  socket: 0o140_000
}

/** All of those bits. */
const TYPE_MASK = 0o170_000
const TYPES = new Map(Object.entries(MODE_TYPE).map(([type, bits]) => [bits, type as FileType]))

/** The type that a mode of stat(2) says. */
export function typeOfMode(mode: number): FileType {
  return TYPES.get(mode & TYPE_MASK)!
}
