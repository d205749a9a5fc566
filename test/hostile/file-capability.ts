import { loadLibC } from '../../src/core/host/libc.ts'

/** Version 2 of the attribute, and that what it permits is in effect (linux/capability.h). */
const MAGIC = 0x0200_0001
const BYTES = 20

/** Gives a program capabilities, as setcap(8) does. @param bits one bit for each capability, by its number */
export function setFileCapability(path: string, bits: number): void {
  const value = Buffer.alloc(BYTES)
  value.writeUInt32LE(MAGIC, 0)
  value.writeUInt32LE(bits, 4)
  const name = Buffer.from('security.capability\0')
  const result = loadLibC().lsetxattr(Buffer.from(`${path}\0`), name, value, BYTES, 0)
  if (result !== 0) throw new Error(`${path} takes no capabilities`)
}
