import { closeSync, writeSync } from 'node:fs'
import { errno } from '../../core/host/libc.ts'
import { checked, kernelCalls } from './kernel-calls.ts'

const MEMFD = { closeOnExec: 1, allowSealing: 2, executable: 0x10 } as const
const EINVAL = 22
const F_ADD_SEALS = 1033
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE. */
const ALL_SEALS = 1 | 2 | 4 | 8

/**
 * Writes a program to a file in memory (memfd_create(2)) and seals it, so that nobody, root included, can change
 * it.
 *
 * @returns its descriptor, which is closed on exec
 */
export function sealProgram(program: Buffer): number {
  const fd = createMemoryFile()
  try {
    for (let written = 0; written < program.length;) {
      written += writeSync(fd, program, written, program.length - written, written)
    }
    checked('seal a program', kernelCalls().fcntl(fd, F_ADD_SEALS, 'int', ALL_SEALS))
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function createMemoryFile(): number {
  const { memfd_create: create } = kernelCalls()
  const flags = MEMFD.closeOnExec | MEMFD.allowSealing
  const fd = create('dat-container-exec', flags | MEMFD.executable)
  // Linux before 6.3 does not know the flag, and lets every such file be executed.
  if (fd < 0 && errno() === EINVAL)
    return checked('memfd_create', create('dat-container-exec', flags))
  return checked('memfd_create', fd)
}
