import { ENTRY_STEPS, type EntryStep } from './entry-plan.ts'
import { encodeAarch64 } from './aarch64.ts'
import { ELF_MACHINE, makeElf } from './elf.ts'
import {
  assemble,
  LOWEST_ERROR,
  type Condition,
  type Instruction,
  type Operand
} from './instructions.ts'
import { ProgramData } from './program-data.ts'
import { SYSTEM_CALLS, type Processor, type SystemCall } from './system-calls.ts'
import { encodeX86 } from './x86-64.ts'

const ENCODERS = { x64: encodeX86, arm64: encodeAarch64 } as const

/** Assembles a program from system calls, and from what happens when one of them fails. */
export class ProgramBuilder {
  readonly data = new ProgramData()
  readonly #processor: Processor
  readonly #instructions: Instruction[] = []
  /** Code that stands behind the rest, where nothing falls into it. */
  readonly #failures: Instruction[] = []
  readonly #failureOf = new Map<EntryStep, string>()
  readonly #report: bigint
  /** Label at which a process continues after it noted a failure. @default exit with status 1 */
  failuresTo: string | undefined

  /** @param report where two words of an `EntryReport` are written. @default the program's data */
  constructor(processor: Processor, report?: bigint) {
    this.#processor = processor
    this.#report = report ?? this.data.words(0n, 0n)
  }

  /** A system call whose failure is none of the program. */
  try(call: SystemCall, ...operands: (Operand | number)[]): void {
    this.#call(this.#instructions, call, operands)
  }

  /** A system call; when it fails the process reports it and ends. */
  call(step: EntryStep, call: SystemCall, ...operands: (Operand | number)[]): void {
    this.try(call, ...operands)
    this.jumpIf('atLeast', LOWEST_ERROR, this.failure(step))
  }

  /** A label to jump to with a failed call's result. */
  failure(step: EntryStep): string {
    const known = this.#failureOf.get(step)
    if (known !== undefined) return known
    const label = `failed to ${step}`
    const { failuresTo } = this
    this.#failureOf.set(step, label)
    this.#failures.push(
      { op: 'label', name: label },
      { op: 'store', at: this.#report + 8n },
      { op: 'set', value: BigInt(ENTRY_STEPS.indexOf(step) + 1) },
      { op: 'store', at: this.#report }
    )
    if (failuresTo === undefined) this.#end(this.#failures, 1n)
    else this.#failures.push({ op: 'jump', to: failuresTo })
    return label
  }

  /** Ends the process; should even that fail, by a signal. */
  end(status: Operand | number): void {
    this.#end(this.#instructions, typeof status === 'number' ? BigInt(status) : status)
  }

  label(name: string): void {
    this.#instructions.push({ op: 'label', name })
  }

  jump(to: string): void {
    this.#instructions.push({ op: 'jump', to })
  }

  /** Compares the last result. */
  jumpIf(is: Condition, value: Operand | number, to: string): void {
    const operand = typeof value === 'number' ? BigInt(value) : value
    this.#instructions.push({ op: 'jumpIf', is, value: operand, to })
  }

  stack(): void {
    this.#instructions.push({ op: 'stack' })
  }

  load(at: bigint): void {
    this.#instructions.push({ op: 'load', at })
  }

  store(at: bigint): void {
    this.#instructions.push({ op: 'store', at })
  }

  set(value: number): void {
    this.#instructions.push({ op: 'set', value: BigInt(value) })
  }

  and(mask: number): void {
    this.#instructions.push({ op: 'and', value: BigInt(mask) })
  }

  add(value: number): void {
    this.#instructions.push({ op: 'add', value: BigInt(value) })
  }

  shiftRight(bits: number): void {
    this.#instructions.push({ op: 'shiftRight', bits })
  }

  trap(): void {
    this.#instructions.push({ op: 'trap' })
  }

  /** The whole program as an executable file. */
  toElf(): Buffer {
    const code = assemble([...this.#instructions, ...this.#failures], ENCODERS[this.#processor])
    return makeElf(ELF_MACHINE[this.#processor], code, this.data.toBuffer())
  }

  #end(target: Instruction[], status: Operand): void {
    this.#call(target, 'exit_group', [status])
    target.push({ op: 'trap' })
  }

  #call(target: Instruction[], call: SystemCall, operands: (Operand | number)[]): void {
    target.push({
      op: 'call',
      number: SYSTEM_CALLS[this.#processor][call],
      operands: operands.map((operand) => (typeof operand === 'number' ? BigInt(operand) : operand))
    })
  }
}
