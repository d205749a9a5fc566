import { getSystemErrorName } from 'node:util'
import { fromLibC, systemCalls } from '../../core/host/system-calls.ts'

/** The events about which the kernel asks a program: making a connection, sending a datagram. */
export type Hook = 'connect4' | 'connect6' | 'send4' | 'send6'

/** BPF_CGROUP_INET4_CONNECT and its like, of linux/bpf.h. */
const ATTACH_TYPE: Readonly<Record<Hook, number>> = {
  connect4: 10,
  connect6: 11,
  send4: 14,
  send6: 15
}
const PROGRAM_TYPE_SOCKET_ADDRESS = 18
const COMMAND = { load: 5, attach: 8 } as const
/** Programs of others on the same cgroup stay. */
const ALLOW_MULTIPLE = 2
const INSTRUCTION_BYTES = 8
const ATTRIBUTE_BYTES = 128
const CALL_NUMBER: Readonly<Record<string, number>> = { x64: 321, arm64: 280 }

interface LibC {
  syscall(number: number, command: number, attributes: Uint8Array, bytes: number): number
  close(fd: number): number
}

const loadLibC = fromLibC<LibC>({
  syscall: 'long syscall(long, int, _Inout_ uint8_t *, unsigned int)',
  close: 'int close(int)'
})

/**
 * Has the kernel ask `program` about whatever the processes of a cgroup do; it outlives this process.
 *
 * @param cgroup descriptor of the cgroup's directory, of version 2
 * @throws Error with the system's error
 */
export function attachToCgroup(cgroup: number, hook: Hook, program: Uint8Array): void {
  const loaded = load(hook, program)
  try {
    const attributes = Buffer.alloc(ATTRIBUTE_BYTES)
    attributes.writeUInt32LE(cgroup, 0)
    attributes.writeUInt32LE(loaded, 4)
    attributes.writeUInt32LE(ATTACH_TYPE[hook], 8)
    attributes.writeUInt32LE(ALLOW_MULTIPLE, 12)
    call(COMMAND.attach, attributes)
  } finally {
    loadLibC().close(loaded)
  }
}

function load(hook: Hook, program: Uint8Array): number {
  const instructions = memoryOf(program)
  const license = memoryOf(Buffer.from('Apache-2.0\0'))
  try {
    const attributes = Buffer.alloc(ATTRIBUTE_BYTES)
    attributes.writeUInt32LE(PROGRAM_TYPE_SOCKET_ADDRESS, 0)
    attributes.writeUInt32LE(program.length / INSTRUCTION_BYTES, 4)
    attributes.writeBigUInt64LE(systemCalls().address(instructions), 8)
    attributes.writeBigUInt64LE(systemCalls().address(license), 16)
    attributes.writeUInt32LE(ATTACH_TYPE[hook], 68)
    return call(COMMAND.load, attributes)
  } finally {
    systemCalls().free(instructions)
    systemCalls().free(license)
  }
}

function call(command: number, attributes: Uint8Array): number {
  const number = CALL_NUMBER[process.arch]
  if (number === undefined) throw new Error(`no bpf(2) on ${process.arch}`)
  const done = loadLibC().syscall(number, command, attributes, attributes.length)
  if (done < 0) throw new Error(`bpf(2): ${getSystemErrorName(-systemCalls().errno())}`)
  return done
}

/** Memory that stays where it is while the kernel reads it. */
function memoryOf(bytes: Uint8Array): unknown {
  const memory: unknown = systemCalls().alloc('uint8_t', bytes.length)
  new Uint8Array(systemCalls().view(memory, bytes.length)).set(bytes)
  return memory
}
