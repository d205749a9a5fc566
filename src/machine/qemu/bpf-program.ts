/** One instruction, or a label that jumps name. */
export type Instruction =
  | { readonly label: string }
  | {
      readonly code: number
      readonly target?: number
      readonly source?: number
      readonly offset?: number | string
      readonly value?: number
    }

const INSTRUCTION_BYTES = 8

/** Registers of linux/bpf.h: 0 is what is returned, 1 the context. */
export const load32 = (target: number, source: number, offset: number): Instruction => ({
  ...{ code: 0x61, target, source, offset }
})
export const load64 = (target: number, source: number, offset: number): Instruction => ({
  ...{ code: 0x79, target, source, offset }
})
export const and = (target: number, value: number): Instruction => ({ code: 0x57, target, value })
export const or = (target: number, source: number): Instruction => ({ code: 0x4f, target, source })
/** Jumps compare 32 bits without sign. */
export const ifEqual = (target: number, value: number, offset: string): Instruction => ({
  ...{ code: 0x16, target, value, offset }
})
export const ifLess = (target: number, value: number, offset: string): Instruction => ({
  ...{ code: 0xa6, target, value, offset }
})
export const ifNotEqual = (target: number, value: number, offset: string): Instruction => ({
  ...{ code: 0x56, target, value, offset }
})
export const label = (name: string): Instruction => ({ label: name })
/** Ends the program with a number. */
export const result = (value: number): Instruction[] => [
  { code: 0xb7, target: 0, value },
  { code: 0x95 }
]

/** Encodes a BPF program as bpf(2) takes it, on a little-endian machine; pure. */
export function assemble(program: readonly Instruction[]): Uint8Array {
  const places = new Map<string, number>()
  const steps: Exclude<Instruction, { label: string }>[] = []
  for (const step of program) {
    if ('label' in step) places.set(step.label, steps.length)
    else steps.push(step)
  }
  const bytes = Buffer.alloc(steps.length * INSTRUCTION_BYTES)
  for (const [index, { code, target = 0, source = 0, offset = 0, value = 0 }] of steps.entries()) {
    const place = typeof offset === 'number' ? offset : (places.get(offset) ?? 0) - index - 1
    const at = index * INSTRUCTION_BYTES
    bytes.writeUInt8(code, at)
    bytes.writeUInt8((source << 4) | target, at + 1)
    bytes.writeInt16LE(place, at + 2)
    bytes.writeInt32LE(value | 0, at + 4)
  }
  return bytes
}
