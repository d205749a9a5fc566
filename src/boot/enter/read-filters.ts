import { setTimeout as sleep } from 'node:timers/promises'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { readProcFile } from '../../core/host/process-table.ts'
import type { SeccompFilter } from './entry-plan.ts'
import { callError, kernelCalls } from './kernel-calls.ts'

/** Requests of ptrace(2), from linux/ptrace.h. */
const PTRACE = {
  detach: 17,
  seize: 0x4206,
  interrupt: 0x4207,
  seccompGetFilter: 0x420c,
  seccompGetMetadata: 0x420d
} as const
const [WNOHANG, WALL] = [1, 0x4000_0000]
const STOPPED = 0x7f
const INSTRUCTION_BYTES = 8
/** struct seccomp_metadata: the filter's index and its flags. */
const METADATA_BYTES = 16
const POLL_MS = 2
/** Another exec may be reading; a process in uninterruptible sleep stops only afterwards. */
const TIMEOUT_MS = 5000

/**
 * Reads a process's seccomp filters, the oldest first. It stops for a moment, as only a stopped one
 * can be asked. The calls are all made by this thread: the kernel knows it as the tracer.
 *
 * @throws ContainerError `MISSING_TOOL` where the kernel cannot tell them, `BUSY` where another
 *   process traces it or it does not stop, `NOT_RUNNING`
 */
export async function readFilters(pid: number): Promise<SeccompFilter[]> {
  const deadline = performance.now() + TIMEOUT_MS
  await seize(pid, deadline)
  let stop: Stop | undefined
  try {
    check(pid, 'stop', kernelCalls().ptrace(PTRACE.interrupt, pid, 0n, null))
    stop = await untilStopped(pid, deadline)
    return filtersOf(pid)
  } finally {
    if (stop === undefined) void letGoLater(pid)
    else letGo(pid, stop)
  }
}

async function seize(pid: number, deadline: number): Promise<void> {
  while (kernelCalls().ptrace(PTRACE.seize, pid, 0n, null) < 0) {
    const error = callError('trace PID 1')
    if (error.code === 'ESRCH') throw ended(error)
    const tracer = /^TracerPid:\s+(\d+)$/m.exec(readProcFile(`/proc/${pid}/status`) ?? '')?.[1]
    // A process that was traced a moment ago may be free now.
    if (error.code === 'EPERM' && performance.now() < deadline) {
      await sleep(POLL_MS)
      continue
    }
    const by = tracer === undefined || tracer === '0' ? '' : `: process ${tracer} traces it`
    throw unreadable(`PID 1 cannot be stopped${by}`, error)
  }
}

/** A stop of a traced process; with the signal that it was about to get when that stopped it. */
interface Stop {
  readonly signal: number
}

function letGo(pid: number, { signal }: Stop): void {
  kernelCalls().ptraceSignal(PTRACE.detach, pid, 0n, signal)
}

async function untilStopped(pid: number, deadline: number): Promise<Stop> {
  const status = Buffer.alloc(4)
  for (;;) {
    const waited = kernelCalls().waitpid(pid, status, WALL | WNOHANG)
    if (waited < 0) throw ended(callError('wait for PID 1'))
    if (waited === pid) {
      const word = status.readInt32LE()
      // Behind an event there is no signal to deliver.
      if ((word & 0xff) === STOPPED) return { signal: word >> 16 === 0 ? (word >> 8) & 0xff : 0 }
      throw ended(new Error('PID 1 ended'))
    }
    if (performance.now() > deadline) {
      throw new ContainerError('BUSY', 'PID 1 of the container does not respond', {
        hint: 'if the container is paused, resume it, then try again'
      })
    }
    await sleep(POLL_MS)
  }
}

/** A process that has not stopped cannot be let go yet. */
async function letGoLater(pid: number): Promise<void> {
  try {
    letGo(pid, await untilStopped(pid, performance.now() + TIMEOUT_MS))
  } catch {
    // It ended, or is let go when this process ends.
  }
}

function filtersOf(pid: number): SeccompFilter[] {
  const { ptrace } = kernelCalls()
  const filters: SeccompFilter[] = []
  for (let index = 0n; ; index++) {
    const length = ptrace(PTRACE.seccompGetFilter, pid, index, null)
    if (length < 0) {
      const error = callError('read a seccomp filter')
      // There are no more.
      if (error.code === 'ENOENT' && index > 0n) return filters
      throw unreadable('the kernel does not reveal the seccomp filter of the container', error)
    }
    const instructions = Buffer.alloc(length * INSTRUCTION_BYTES)
    check(pid, 'read', ptrace(PTRACE.seccompGetFilter, pid, index, instructions))
    const metadata = Buffer.alloc(METADATA_BYTES)
    metadata.writeBigUInt64LE(index)
    check(pid, 'read', ptrace(PTRACE.seccompGetMetadata, pid, BigInt(METADATA_BYTES), metadata))
    filters.push({ flags: Number(metadata.readBigUInt64LE(8)), instructions })
  }
}

function check(pid: number, what: string, result: number): void {
  if (result >= 0) return
  const error = callError(`${what} process ${pid}`)
  if (error.code === 'ESRCH') throw ended(error)
  throw unreadable('the seccomp filter of the container cannot be read', error)
}

function ended(cause: unknown): ContainerError {
  return new ContainerError('NOT_RUNNING', 'the container has ended', { cause })
}

function unreadable(message: string, cause: unknown): ContainerError {
  const code = systemErrorCode(cause) ?? ''
  return new ContainerError(code === 'EPERM' ? 'BUSY' : 'MISSING_TOOL', `${message} (${code})`, {
    hint: 'start the command without the filter, if you trust the container: exec --privileged',
    cause
  })
}
