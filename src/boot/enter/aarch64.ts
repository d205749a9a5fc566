import type { Condition, Encode, Operand } from './instructions.ts'

/** A register that no system call takes. */
const SCRATCH = 9
/** The register of a system call's number; its arguments are in x0 and following. */
const NUMBER = 8
const CONDITION: Readonly<Record<Condition, number>> = { equal: 0, notEqual: 1, atLeast: 2 }
const INSTRUCTION_BYTES = 4

/** Machine code for aarch64; the result is in x0. */
export const encodeAarch64: Encode = (instruction, distance) => {
  switch (instruction.op) {
    case 'call': {
      const operands = instruction.operands.flatMap((operand, index) => moveOperand(index, operand))
      // svc #0
      return code(...operands, ...move(NUMBER, BigInt(instruction.number)), 0xd4000001)
    }
    case 'set':
      return code(...move(0, instruction.value))
    case 'stack': // mov x0, sp
      return code(0x910003e0)
    case 'load': // ldar x0, [x9]: another thread may write the word
      return code(...move(SCRATCH, instruction.at), 0xc8dffc00 | (SCRATCH << 5))
    case 'store': // stlr x0, [x9]
      return code(...move(SCRATCH, instruction.at), 0xc89ffc00 | (SCRATCH << 5))
    case 'and': // and x0, x0, x9
      return code(...move(SCRATCH, instruction.value), 0x8a000000 | (SCRATCH << 16))
    case 'add': // add x0, x0, x9
      return code(...move(SCRATCH, instruction.value), 0x8b000000 | (SCRATCH << 16))
    case 'shiftRight': // lsr x0, x0, #bits
      return code(0xd340fc00 | (instruction.bits << 16))
    case 'jump': // b
      return code(0x14000000 | ((distance(instruction.to) / INSTRUCTION_BYTES) & 0x3ffffff))
    case 'jumpIf': {
      // cmp x0, x9
      const compare = [...moveOperand(SCRATCH, instruction.value), 0xeb00001f | (SCRATCH << 16)]
      const words = distance(instruction.to) / INSTRUCTION_BYTES - compare.length
      // b.condition
      return code(...compare, 0x54000000 | ((words & 0x7ffff) << 5) | CONDITION[instruction.is])
    }
    case 'trap':
  }
  // brk #0
  return code(0xd4200000)
}

function moveOperand(register: number, operand: Operand): number[] {
  if (typeof operand === 'bigint') return move(register, operand)
  // ldar register, [register]
  return [...move(register, operand.at), 0xc8dffc00 | (register << 5) | register]
}

/** movz, then movk for the upper three quarters. */
function move(register: number, value: bigint): number[] {
  return [0, 1, 2, 3].map((quarter) => {
    const part = Number((BigInt.asUintN(64, value) >> BigInt(16 * quarter)) & 0xffffn)
    return (quarter === 0 ? 0xd2800000 : 0xf2800000) | (quarter << 21) | (part << 5) | register
  })
}

function code(...words: number[]): Buffer {
  const buffer = Buffer.alloc(words.length * INSTRUCTION_BYTES)
  for (const [index, word] of words.entries()) {
    buffer.writeUInt32LE(word >>> 0, index * INSTRUCTION_BYTES)
  }
  return buffer
}
