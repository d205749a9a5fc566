/** Requests as the kernel writes them, for tests that have no kernel. */

export function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value >>> 0, 4 * index)
  return bytes
}

export function u64(...values: (number | bigint)[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length)
  for (const [index, value] of values.entries())
    bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), 8 * index)
  return bytes
}

/** `struct fuse_in_header` and what follows it. */
export function request(opcode: number, node: number, ...body: Buffer[]): Buffer {
  const rest = Buffer.concat(body)
  return Buffer.concat([
    u32(40 + rest.length, opcode),
    u64(UNIQUE, node),
    u32(1000, 100, PID, 0),
    rest
  ])
}

export const UNIQUE = 2n ** 63n + 6n
export const PID = 4711

/** `struct fuse_read_in`. */
export function readBody(offset: number, size: number): Buffer {
  return Buffer.concat([u64(0, offset), u32(size, 0), u64(0), u32(0, 0)])
}

export interface Entry {
  readonly name: string
  readonly next: number
  readonly inode: number
  readonly type: number
  /** Node and mode that came with a READDIRPLUS. */
  readonly plus: readonly [node: number, mode: number] | undefined
}

/** The entries in the body of an answer to READDIR or READDIRPLUS. */
export function entriesIn(body: Buffer, isPlus: boolean): Entry[] {
  const entries: Entry[] = []
  for (let at = 0; at < body.length;) {
    const head = isPlus ? 128 : 0
    const plus = isPlus
      ? ([Number(body.readBigUInt64LE(at)), body.readUInt32LE(at + 100)] as const)
      : undefined
    const dirent = at + head
    const length = body.readUInt32LE(dirent + 16)
    entries.push({
      name: body.toString('latin1', dirent + 24, dirent + 24 + length),
      inode: Number(body.readBigUInt64LE(dirent)),
      next: Number(body.readBigUInt64LE(dirent + 8)),
      type: body.readUInt32LE(dirent + 20),
      plus
    })
    at += Math.ceil((head + 24 + length) / 8) * 8
  }
  return entries
}
