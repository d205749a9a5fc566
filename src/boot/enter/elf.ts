/** Values of e_machine (elf.h). */
export const ELF_MACHINE = { x64: 62, arm64: 183 } as const

const HEADER_BYTES = 64
const SEGMENT_BYTES = 56
const SEGMENTS = 3
const [READ, WRITE, EXECUTE] = [4, 2, 1]
const PT_LOAD = 1
const PT_GNU_STACK = 0x6474e551
/** The largest page of any Linux for these processors. */
const ALIGNMENT = 0x1_0000
const CODE_ADDRESS = 0x40_0000n
/** The address of the program's data. */
export const DATA_ADDRESS = 0x1000_0000n

/**
 * Makes a static executable without interpreter and section headers (elf(5)). Its code is not writable and its
 * data is not executable.
 *
 * @param code starts with the first instruction to run
 * @param data is loaded at {@link DATA_ADDRESS}
 */
export function makeElf(machine: number, code: Buffer, data: Buffer): Buffer {
  const codeOffset = HEADER_BYTES + SEGMENTS * SEGMENT_BYTES
  const textBytes = codeOffset + code.length
  const dataOffset = Math.ceil(textBytes / ALIGNMENT) * ALIGNMENT
  const file = Buffer.alloc(dataOffset + data.length)
  // 64 bits, little-endian, version 1, any system.
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(file)
  file.writeUInt16LE(2, 16) // e_type: ET_EXEC
  file.writeUInt16LE(machine, 18)
  file.writeUInt32LE(1, 20) // e_version
  file.writeBigUInt64LE(CODE_ADDRESS + BigInt(codeOffset), 24) // e_entry
  file.writeBigUInt64LE(BigInt(HEADER_BYTES), 32) // e_phoff
  file.writeUInt16LE(HEADER_BYTES, 52)
  file.writeUInt16LE(SEGMENT_BYTES, 54)
  file.writeUInt16LE(SEGMENTS, 56)
  const segments = [
    { type: PT_LOAD, flags: READ | EXECUTE, offset: 0, address: CODE_ADDRESS, bytes: textBytes },
    {
      type: PT_LOAD,
      flags: READ | WRITE,
      offset: dataOffset,
      address: DATA_ADDRESS,
      bytes: data.length
    },
    { type: PT_GNU_STACK, flags: READ | WRITE, offset: 0, address: 0n, bytes: 0 }
  ]
  for (const [index, { type, flags, offset, address, bytes }] of segments.entries()) {
    const at = HEADER_BYTES + index * SEGMENT_BYTES
    file.writeUInt32LE(type, at)
    file.writeUInt32LE(flags, at + 4)
    file.writeBigUInt64LE(BigInt(offset), at + 8)
    file.writeBigUInt64LE(address, at + 16) // p_vaddr
    file.writeBigUInt64LE(address, at + 24) // p_paddr
    file.writeBigUInt64LE(BigInt(bytes), at + 32) // p_filesz
    file.writeBigUInt64LE(BigInt(bytes), at + 40) // p_memsz
    file.writeBigUInt64LE(BigInt(ALIGNMENT), at + 48)
  }
  code.copy(file, codeOffset)
  data.copy(file, dataOffset)
  return file
}
