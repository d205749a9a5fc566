import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BootProfile } from '../../image/format/boot-profile.ts'
import { ContainerError } from '../../core/errors.ts'
import { missingTool } from '../../core/host/host-command.ts'
import type { ImageReference } from '../../p2p/link.ts'
import { MountLease } from '../lease/mount-lease.ts'
import { isOnHost } from '../../core/host/package-manager.ts'
import { requireRoot } from '../../core/host/require-root.ts'
import { runContainer } from './runner.ts'
import type { ContainerState } from '../state/container-record.ts'

export interface RecordImageOptions {
  readonly home: string
  /** An image that is wholly on this machine. */
  readonly link: ImageReference
  /** @default the image's own command, or its init */
  readonly command?: readonly string[]
  /**
   * How long what is touched counts: of an init from when it is ready on, of a command from its start
   * on, unless it ends before. @default {@link AFTER_READY_MS}, {@link COMMAND_MS}
   */
  readonly durationMs?: number
  readonly signal: AbortSignal
}

/** Services that systemd does not wait for read their first pages then. */
const AFTER_READY_MS = 1_000
const COMMAND_MS = 10_000
/** An init that has not said that it is ready by then is none that says so. */
const READY_LIMIT_MS = 120_000

/** Checks that this machine can record a boot profile. @throws ContainerError `NEEDS_ROOT`, `MISSING_TOOL` */
export async function requireRecording(): Promise<void> {
  requireRoot('recording a boot profile')
  for (const tool of ['systemd-nspawn', 'setpriv']) {
    if (!isOnHost(tool)) throw await missingTool(tool)
  }
}

/**
 * Starts an image once, with its writes in memory and a private network, and reports what it read. It leaves
 * nothing behind.
 *
 * @throws ContainerError what kept it from running, `BOOT_FAILED` also for a command that failed, `CANCELLED`
 */
export async function recordImage(options: RecordImageOptions): Promise<BootProfile> {
  const { home, link, command, signal } = options
  await requireRecording()
  const ended = new AbortController()
  let recorded: BootProfile | undefined
  let ending: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  const endAfter = (state: ContainerState, ms: number): void => {
    ending ??= endRecording(state, ms, ended)
    // Then the container's own end tells what is wrong.
    ending.catch(() => ended.abort())
  }
  try {
    const { exitCode } = await runContainer({
      container: {
        home,
        link,
        name: `profile-${randomBytes(4).toString('hex')}`,
        ephemeral: true,
        network: 'private',
        offline: true,
        lazyOnly: true,
        record: 'caller',
        ...(command === undefined ? {} : { command })
      },
      console: 'log',
      signal: AbortSignal.any([signal, ended.signal]),
      events: {
        onState: (state) => {
          if (state.state !== 'running') return
          timer ??= setTimeout(() => endAfter(state, 0), READY_LIMIT_MS).unref()
        },
        onReady: (state) => {
          const usual = state.mode === 'boot' ? AFTER_READY_MS : COMMAND_MS
          endAfter(state, options.durationMs ?? usual)
        },
        onRecorded: (profile) => (recorded = profile)
      }
    })
    if (!ended.signal.aborted && exitCode !== 0) {
      throw new ContainerError('BOOT_FAILED', `what was started ended with exit code ${exitCode}`, {
        hint: 'record a start that works; put the command after --'
      })
    }
  } catch (error) {
    signal.throwIfAborted()
    // An init that never said that it was ready, and was ended for that.
    if (recorded === undefined || !ended.signal.aborted) throw error
  } finally {
    clearTimeout(timer)
  }
  signal.throwIfAborted()
  if (recorded === undefined) throw new ContainerError('BOOT_FAILED', 'nothing was recorded')
  return recorded
}

/** Ends the recording first: what the container reads while it is being stopped is not part of its start. */
async function endRecording(
  { mounterSocket }: ContainerState,
  ms: number,
  ended: AbortController
): Promise<void> {
  await sleep(ms, undefined, { ref: false })
  const lease = await MountLease.connect(mounterSocket)
  try {
    await lease?.endRecording({ keep: false })
  } finally {
    await lease?.[Symbol.asyncDispose]()
  }
  ended.abort()
}
