import type { ChildProcess } from 'node:child_process'
import { isatty } from 'node:tty'
import { ConsoleKeys, type ConsoleRequest } from './console-keys.ts'
import { readProcFile } from '../../core/host/process-table.ts'

/** Fields of proc_pid_stat(5) behind the command's name, from the third on: process group, and that of the terminal. */
const [GROUP, TERMINAL_GROUP] = [2, 5]

/**
 * Tells whether a user can type to this process: input and output are terminals, and the process is not a
 * background job of a shell, which the kernel would stop for using the terminal.
 */
export function hasTypist(): boolean {
  if (!isatty(0) || !isatty(1)) return false
  const text = readProcFile('/proc/self/stat') ?? ''
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields[GROUP] === fields[TERMINAL_GROUP]
}

/**
 * Hands what is typed on this process's terminal to the input of a child, byte for byte; keys that are ours are
 * kept. Meanwhile the terminal does not edit lines, echo or make signals: what the child has in front of its program
 * does.
 *
 * @param child its input is a pipe
 * @param onRequest is told of our keys
 * @returns gives the terminal back as it was
 */
export function typeInto(
  { stdin: input }: ChildProcess,
  onRequest: (request: ConsoleRequest) => void
): () => void {
  const { stdin } = process
  const keys = new ConsoleKeys()
  const pass = (typed: Buffer): void => {
    const { passed, requests } = keys.read(typed, performance.now())
    if (passed.length > 0 && input?.writable === true) input.write(passed)
    for (const request of requests) onRequest(request)
  }
  // It has ended: what is typed now is nobody's.
  input?.on('error', () => {})
  stdin.setRawMode(true)
  stdin.on('data', pass)
  return () => {
    stdin.off('data', pass)
    stdin.setRawMode(false)
    stdin.pause()
    stdin.unref()
  }
}
