import { spawn, type ChildProcess } from 'node:child_process'
import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  identify,
  isAlive,
  signalProcess,
  waitForExit,
  type ProcessIdentity
} from '../../core/host/process-table.ts'
import { inOwnScope, isSystemdHost } from '../../core/host/service-process.ts'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import type { KernelLock } from '../../core/host/kernel-lock.ts'
import { hostEnvironment } from '../../core/host/host-environment.ts'
import { lastLines } from '../state/console-log.ts'
import type { ControlPlace } from '../state/machine-types.ts'
import { Qmp } from './qmp.ts'

/** QEMU has its sockets and its guest's memory long before. */
const START_TIMEOUT_MS = 20_000
const POLL_MS = 30
const QUIT_TIMEOUT_MS = 5000
/**
 * Has glibc take memory in large pages. Where QEMU emulates the processor, a third of its time goes into looking
 * up translated code in tables all over its memory.
 */
export const LARGE_PAGES = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' } as const
/** How much of what QEMU says goes into an error. */
const SHOWN_LINES = 3

export interface QemuStart {
  readonly program: string
  readonly argv: readonly string[]
  /** Name of its scope unit, where systemd runs the host. */
  readonly unit: string
  /** The log of its own messages. */
  readonly log: string
  readonly control: ControlPlace
  /** The locked file of the machine's name, which QEMU inherits and so keeps locked. */
  readonly lock: KernelLock
  /** Goes before the program, in the same process. */
  readonly wrapper?: readonly string[]
  /** Further descriptors that QEMU inherits, from 4 on. */
  readonly descriptors?: readonly number[]
  readonly signal?: AbortSignal | undefined
}

/**
 * Starts QEMU in a session of its own, where no terminal's Ctrl-C reaches it, and waits until its
 * control socket answers.
 *
 * @throws ContainerError `BOOT_FAILED` with what QEMU says when it ends before, `CANCELLED`
 */
export async function startQemu(start: QemuStart): Promise<ProcessIdentity> {
  const log = await open(start.log, 'w', 0o600)
  let child: ChildProcess
  try {
    const root = process.getuid?.() === 0
    const command = inOwnScope(
      start.unit,
      [...(start.wrapper ?? []), start.program, ...start.argv],
      {
        systemd: root && isSystemdHost()
      }
    )
    const [file = start.program, ...args] = command
    child = spawn(file, args, {
      detached: true,
      cwd: '/',
      env: { ...hostEnvironment(), ...LARGE_PAGES },
      stdio: ['ignore', log.fd, log.fd, start.lock.fd, ...(start.descriptors ?? [])]
    })
  } finally {
    await log.close()
  }
  const failed = new Promise<Error>((resolve) => child.once('error', resolve))
  child.unref()
  if (child.pid === undefined) {
    throw new ContainerError('BOOT_FAILED', `QEMU cannot be started: ${(await failed).message}`)
  }
  const qemu = identify(child.pid)
  if (qemu === undefined) throw await qemuEnded(start.log)
  try {
    await waitForControl(start, qemu)
    return qemu
  } catch (error) {
    await endQemu(qemu, start.control)
    throw error
  }
}

async function waitForControl(start: QemuStart, qemu: ProcessIdentity): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS
  for (;;) {
    if (start.signal?.aborted === true) {
      throw new ContainerError('CANCELLED', 'cancelled', { cause: start.signal.reason })
    }
    const lives = isAlive(qemu)
    try {
      await answers(start.control)
      return
    } catch (error) {
      if (!isContainerError(error, 'NOT_RUNNING', 'TIMEOUT')) throw error
      if (!lives || performance.now() >= deadline) throw await qemuEnded(start.log, error)
    }
    await sleep(POLL_MS)
  }
}

/** No `using` in the loop: what the bundler makes of that throws the error of an earlier turn again. */
async function answers(control: ControlPlace): Promise<void> {
  using _qmp = await Qmp.open(control)
}

/** Makes the error for a QEMU that ended by itself, with the end of its output. */
export async function qemuEnded(log: string, cause?: unknown): Promise<ContainerError> {
  const said = await lastLines(log, SHOWN_LINES)
  const message = said.length === 0 ? 'QEMU ended' : `QEMU ended: ${said.join('; ')}`
  return new ContainerError('BOOT_FAILED', message, cause === undefined ? {} : { cause })
}

/** Ends a QEMU at once, by its control socket, else by signals; returns when it is gone. */
export async function endQemu(qemu: ProcessIdentity, control: ControlPlace): Promise<void> {
  if (!isAlive(qemu)) return
  try {
    using qmp = await Qmp.open(control, QUIT_TIMEOUT_MS)
    await qmp.execute('quit')
  } catch {
    // It does not answer, or is gone already: signals follow.
  }
  if (await waitForExit(qemu, QUIT_TIMEOUT_MS)) return
  signalProcess(qemu, 'SIGKILL')
  await waitForExit(qemu, QUIT_TIMEOUT_MS)
}
