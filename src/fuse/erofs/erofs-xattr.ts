import { asBuffer } from '../../core/as-buffer.ts'
import { ContainerError } from '../../core/errors.ts'
import type { Tree, Xattr } from '../../image/tree/tree.ts'
import { visibleXattrs } from '../content/visible-xattrs.ts'
import { alignUp, XATTR_ENTRY_BYTES, XATTR_HEADER_BYTES } from './erofs-format.ts'

/** Namespaces the format knows; the rest of the name is stored, the namespace is a number. */
const NAMESPACES: readonly { prefix: Buffer; index: number; whole: boolean }[] = [
  { prefix: Buffer.from('user.'), index: 1, whole: false },
  { prefix: Buffer.from('system.posix_acl_access'), index: 2, whole: true },
  { prefix: Buffer.from('system.posix_acl_default'), index: 3, whole: true },
  { prefix: Buffer.from('trusted.'), index: 4, whole: false },
  { prefix: Buffer.from('security.'), index: 6, whole: false }
]
const MAX_VALUE_BYTES = 0xffff
/** The area of one inode is counted in 16 bits of 4 bytes each. */
const MAX_AREA_BYTES = XATTR_HEADER_BYTES + 4 * 0xfffe
/** Shared attributes of one inode are counted in 8 bits. */
const MAX_SHARED = 255

/** One attribute as stored: namespace number, rest of the name, value; padded to 4 bytes. */
function encodeEntry({ name, value }: Xattr): Buffer | undefined {
  const bytes = asBuffer(name)
  const namespace = NAMESPACES.find(({ prefix, whole }) =>
    whole ? bytes.equals(prefix) : bytes.indexOf(prefix) === 0
  )
  // The kernel would show no attribute of another namespace anyway.
  if (namespace === undefined) return undefined
  if (value.length > MAX_VALUE_BYTES) {
    throw tooLarge(`an extended attribute of ${value.length} bytes`)
  }
  const rest = bytes.subarray(namespace.prefix.length)
  const entry = Buffer.alloc(alignUp(XATTR_ENTRY_BYTES + rest.length + value.length, 4))
  entry.writeUInt8(rest.length, 0)
  entry.writeUInt8(namespace.index, 1)
  entry.writeUInt16LE(value.length, 2)
  entry.set(rest, XATTR_ENTRY_BYTES)
  entry.set(value, XATTR_ENTRY_BYTES + rest.length)
  return entry
}

function tooLarge(what: string): ContainerError {
  return new ContainerError('MISSING_TOOL', `EROFS cannot hold ${what}`, {
    hint: 'mount with --mount fuse'
  })
}

/**
 * The xattrs of a tree in EROFS form. Attributes that several inodes have alike (SELinux labels,
 * default ACLs) are stored once in the shared area.
 */
export class XattrTable {
  /** Offsets in the shared area in units of 4 bytes, by stored form. */
  readonly #shared = new Map<string, number>()
  readonly #sharedEntries: Buffer[] = []
  #sharedBytes = 0
  readonly #tree: Tree

  constructor(tree: Tree) {
    this.#tree = tree
    const seen = new Set<string>()
    for (let inode = 0; inode < tree.inodeCount; inode++) {
      for (const xattr of visibleXattrs(tree, inode)) this.#count(xattr, seen)
    }
  }

  #count(xattr: Xattr, seen: Set<string>): void {
    const entry = encodeEntry(xattr)
    if (entry === undefined) return
    const key = entry.toString('latin1')
    if (!seen.has(key)) {
      seen.add(key)
    } else if (!this.#shared.has(key)) {
      this.#shared.set(key, this.#sharedBytes / 4)
      this.#sharedEntries.push(entry)
      this.#sharedBytes += entry.length
    }
  }

  /** The shared area; it begins at a block of its own. */
  sharedArea(): Buffer {
    return Buffer.concat(this.#sharedEntries)
  }

  /**
   * What follows an inode: header, offsets of shared attributes, the others in full. Empty for none.
   *
   * @throws ContainerError `MISSING_TOOL` when the format cannot hold them
   */
  area(inode: number): Buffer {
    const xattrs = visibleXattrs(this.#tree, inode)
    const shared: number[] = []
    const inline: Buffer[] = []
    for (const xattr of xattrs) {
      const entry = encodeEntry(xattr)
      if (entry === undefined) continue
      const id = this.#shared.get(entry.toString('latin1'))
      if (id === undefined || shared.length === MAX_SHARED) inline.push(entry)
      else shared.push(id)
    }
    if (shared.length + inline.length === 0) return Buffer.alloc(0)
    const head = Buffer.alloc(XATTR_HEADER_BYTES + 4 * shared.length)
    head.writeUInt8(shared.length, 4)
    for (const [index, id] of shared.entries()) {
      head.writeUInt32LE(id, XATTR_HEADER_BYTES + 4 * index)
    }
    const area = Buffer.concat([head, ...inline])
    if (area.length > MAX_AREA_BYTES) throw tooLarge(`${area.length} bytes of attributes of a file`)
    return area
  }
}
