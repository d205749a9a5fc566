import { ContainerError } from '../src/core/errors.ts'

const MAGIC = Buffer.from('\x7fELF\x02\x01', 'latin1')
const PT_LOAD = 1
const PT_DYNAMIC = 2
const DT_NULL = 0n
const DT_NEEDED = 1n
const DT_STRTAB = 5n

/** Whether a file is a 64-bit little-endian ELF file. */
export function isElf(content: Buffer): boolean {
  return content.length >= 64 && content.subarray(0, MAGIC.length).equals(MAGIC)
}

/** The processor that an ELF file is for (elf(5), `e_machine`). */
export function elfMachine(content: Buffer): number {
  return content.readUInt16LE(18)
}

/**
 * Names of the shared libraries that an ELF file asks for (elf(5), DT_NEEDED).
 *
 * @throws ContainerError `BAD_SOURCE` for a file whose tables point outside it
 */
export function neededLibraries(content: Buffer): string[] {
  try {
    const segments = programHeaders(content)
    const dynamic = segments.find(({ type }) => type === PT_DYNAMIC)
    if (dynamic === undefined) return []
    const names: number[] = []
    let table: number | undefined
    for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
      const tag = content.readBigInt64LE(at)
      const value = Number(content.readBigUInt64LE(at + 8))
      if (tag === DT_NULL) break
      if (tag === DT_NEEDED) names.push(value)
      if (tag === DT_STRTAB) {
        const holder = segments.find(
          ({ type, address, size }) =>
            type === PT_LOAD && value >= address && value < address + size
        )
        if (holder) table = holder.offset + value - holder.address
      }
    }
    if (table === undefined) return []
    const start = table
    return names.map((name) => {
      const end = content.indexOf(0, start + name)
      return content.toString('latin1', start + name, end)
    })
  } catch (cause) {
    throw new ContainerError('BAD_SOURCE', 'an ELF file points outside itself', { cause })
  }
}

function programHeaders(content: Buffer) {
  const start = Number(content.readBigUInt64LE(32))
  const entry = content.readUInt16LE(54)
  const count = content.readUInt16LE(56)
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * entry
    return {
      type: content.readUInt32LE(at),
      offset: Number(content.readBigUInt64LE(at + 8)),
      address: Number(content.readBigUInt64LE(at + 16)),
      size: Number(content.readBigUInt64LE(at + 32))
    }
  })
}
