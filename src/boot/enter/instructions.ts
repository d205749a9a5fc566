/** A 64-bit value that is known when the program is made, or the content of a word of its memory. */
export type Operand = bigint | { readonly at: bigint }

/**
 * The few things that a generated program does, for any processor. There is one register, the
 * result: a system call sets it, and so do `load`, `set` and `stack`. Nothing is put on the stack.
 */
export type Instruction =
  | { readonly op: 'call'; readonly number: number; readonly operands: readonly Operand[] }
  | { readonly op: 'set'; readonly value: bigint }
  | { readonly op: 'load' | 'store'; readonly at: bigint }
  /** The stack pointer: when a program starts, it points to the count of its arguments, followed by their addresses. */
  | { readonly op: 'stack' }
  | { readonly op: 'and' | 'add'; readonly value: bigint }
  | { readonly op: 'shiftRight'; readonly bits: number }
  | { readonly op: 'label'; readonly name: string }
  | { readonly op: 'jump'; readonly to: string }
  | { readonly op: 'jumpIf'; readonly is: Condition; readonly value: Operand; readonly to: string }
  /** Ends the process by a signal. */
  | { readonly op: 'trap' }

/** How the result compares with a value; `atLeast` takes both as unsigned. */
export type Condition = 'equal' | 'notEqual' | 'atLeast'

/** The smallest result, as an unsigned number, that is an error of the kernel. */
export const LOWEST_ERROR = BigInt.asUintN(64, -4095n)

/** Machine code of one instruction; its length does not depend on where labels are. */
export type Encode = (
  instruction: Exclude<Instruction, { op: 'label' }>,
  /** Bytes from the begin of this instruction to a label. */
  distance: (label: string) => number
) => Buffer

/**
 * Encodes instructions as machine code and resolves their labels.
 *
 * @throws Error for a label that does not exist, which is a mistake in the caller
 */
export function assemble(instructions: readonly Instruction[], encode: Encode): Buffer {
  const labels = new Map<string, number>()
  let length = 0
  for (const instruction of instructions) {
    if (instruction.op === 'label') labels.set(instruction.name, length)
    else length += encode(instruction, () => 0).length
  }
  const parts: Buffer[] = []
  let place = 0
  for (const instruction of instructions) {
    if (instruction.op === 'label') continue
    const begin = place
    const part = encode(instruction, (label) => {
      const target = labels.get(label)
      if (target === undefined) throw new Error(`no label ${label}`)
      return target - begin
    })
    parts.push(part)
    place += part.length
  }
  return Buffer.concat(parts)
}
