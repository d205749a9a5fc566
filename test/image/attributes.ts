import type { FileType, InodeAttributes } from '../../src/image/tree/tree.ts'

/** Attributes for tests that care about a few of them. */
export function attributesOf(type: FileType, some: Partial<InodeAttributes> = {}): InodeAttributes {
  return {
    type,
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtimeSeconds: 1_700_000_000,
    mtimeNanoseconds: 123_456_789,
    deviceMajor: 0,
    deviceMinor: 0,
    ...some
  }
}
