/** The fields of a file's header in a cpio archive. */
export interface CpioFacts {
  readonly path: string
  readonly inode: number
  /** Type and permissions, as st_mode has them. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly links: number
  /** Seconds since 1970. */
  readonly mtime: number
  /** Numbers of a device file. */
  readonly device: { readonly major: number; readonly minor: number }
}

const MAGIC = '070701'
const ALIGNMENT = 4
const NO_DEVICE = { major: 0, minor: 0 }

/**
 * Encodes a file for a cpio archive in the format "new ASCII" without checksums, which the kernel unpacks
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * @returns consecutive parts; their total length is a multiple of four bytes
 */
export function cpioEntry(facts: CpioFacts, content: Buffer): Buffer[] {
  const { path, inode, mode, uid, gid, links, mtime, device } = facts
  const name = Buffer.from(`${path}\0`)
  const place = [0, 0, device.major, device.minor, name.length, 0]
  const fields = [inode, mode, uid, gid, links, mtime, content.length, ...place]
  const text = MAGIC + fields.map((each) => each.toString(16).padStart(8, '0')).join('')
  return [...padded(Buffer.concat([Buffer.from(text), name])), ...padded(content)]
}

/** The name of the entry that ends an archive. */
export const CPIO_TRAILER = Buffer.concat(
  cpioEntry(
    {
      ...{ path: 'TRAILER!!!', inode: 0, mode: 0, uid: 0, gid: 0 },
      ...{ links: 1, mtime: 0, device: NO_DEVICE }
    },
    Buffer.alloc(0)
  )
)

/**
 * Makes an archive of plain files of root in one folder. Equal files give equal bytes.
 *
 * @param files by name
 */
export function cpioOfFiles(folder: string, files: ReadonlyMap<string, Buffer>): Buffer {
  const facts = { uid: 0, gid: 0, mtime: 0, device: NO_DEVICE }
  let inode = 1
  const directory = { ...facts, path: folder, inode, mode: 0o040755, links: 2 }
  const parts = cpioEntry(directory, Buffer.alloc(0))
  for (const [name, content] of files) {
    inode++
    const path = `${folder}/${name}`
    parts.push(...cpioEntry({ ...facts, path, inode, mode: 0o100644, links: 1 }, content))
  }
  return Buffer.concat([...parts, CPIO_TRAILER])
}

function padded(content: Buffer): Buffer[] {
  return [content, Buffer.alloc(-content.length & (ALIGNMENT - 1))]
}
