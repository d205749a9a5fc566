import type { Condition, Encode, Operand } from './instructions.ts'

/** Numbers of registers. */
const RAX = 0
const RCX = 1
/** rdi, rsi, rdx, r10, r8, r9: what a system call takes. The kernel overwrites rcx and r11. */
const ARGUMENTS = [7, 6, 2, 10, 8, 9] as const
const JUMP_IF: Readonly<Record<Condition, number>> = { equal: 0x84, notEqual: 0x85, atLeast: 0x83 }

/** Machine code for x86-64; the result is in rax. */
export const encodeX86: Encode = (instruction, distance) => {
  switch (instruction.op) {
    case 'call': {
      const operands = instruction.operands.map((operand, index) =>
        moveOperand(ARGUMENTS[index] ?? RAX, operand)
      )
      // syscall
      return bytes(...operands, move(RAX, BigInt(instruction.number)), [0x0f, 0x05])
    }
    case 'set':
      return move(RAX, instruction.value)
    case 'stack': // mov rax, rsp
      return bytes([0x48, 0x89, 0xe0])
    case 'load': // mov rax, [address]
      return bytes([0x48, 0xa1], word(instruction.at))
    case 'store': // mov [address], rax
      return bytes([0x48, 0xa3], word(instruction.at))
    case 'and': // and rax, rcx
      return bytes(move(RCX, instruction.value), [0x48, 0x21, 0xc8])
    case 'add': // add rax, rcx
      return bytes(move(RCX, instruction.value), [0x48, 0x01, 0xc8])
    case 'shiftRight': // shr rax, bits
      return bytes([0x48, 0xc1, 0xe8, instruction.bits])
    case 'jump': // jmp relative
      return jump([0xe9], distance(instruction.to), 0)
    case 'jumpIf': {
      // cmp rax, rcx
      const compare = bytes(moveOperand(RCX, instruction.value), [0x48, 0x39, 0xc8])
      const then = jump([0x0f, JUMP_IF[instruction.is]], distance(instruction.to), compare.length)
      return bytes(compare, then)
    }
    case 'trap':
  }
  // ud2
  return bytes([0x0f, 0x0b])
}

/** mov register, value; of a word of memory, mov register, [register] after it. */
function moveOperand(register: number, operand: Operand): Buffer {
  if (typeof operand === 'bigint') return move(register, operand)
  const low = register & 7
  const rex = register > 7 ? 0x4d : 0x48
  return bytes(move(register, operand.at), [rex, 0x8b, (low << 3) | low])
}

function move(register: number, value: bigint): Buffer {
  return bytes([register > 7 ? 0x49 : 0x48, 0xb8 | (register & 7)], word(value))
}

/** Distances count from the end of the jump, which `before` bytes of its instruction precede. */
function jump(opcode: readonly number[], distance: number, before: number): Buffer {
  const relative = Buffer.alloc(4)
  relative.writeInt32LE(distance - before - opcode.length - relative.length)
  return bytes(opcode, relative)
}

function word(value: bigint): Buffer {
  const buffer = Buffer.alloc(8)
  buffer.writeBigUInt64LE(BigInt.asUintN(64, value))
  return buffer
}

function bytes(...parts: (Buffer | readonly number[])[]): Buffer {
  return Buffer.concat(parts.map((part) => Buffer.from(part)))
}
