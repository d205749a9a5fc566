import { randomBytes } from 'node:crypto'
import { parseBind } from '../../boot/state/bind-option.ts'
import type { Bind } from '../../boot/state/bind-option.ts'
import { throwIfCancelled } from '../../core/cancel.ts'
import { ContainerError } from '../../core/errors.ts'
import type { ImageReference } from '../../p2p/link.ts'
import { giveLink } from './give-link.ts'
import { guestLink } from './guest-link.ts'
import { closePorts, openPorts } from './guest-ports.ts'
import { guestVolume, pathInGuest, sharesFor } from './guest-volumes.ts'
import { machineHome, machinePaths, type MachinePaths } from '../state/machine-paths.ts'
import { readLiveState, requireConfig, type MachineState } from '../state/machine-record.ts'
import { parseForward } from '../state/port-forward.ts'
import { captureSsh, quoteCommand, runSsh, sshTarget, type SshTarget } from './ssh-command.ts'

/** A verb on containers that is carried out in a machine. */
export interface ContainerVerb {
  readonly home: string
  readonly machine: string
  /** The words after `dat-container`: verb and options, such as `['boot', '--detach']`. */
  readonly words: readonly string[]
  /** For `boot`: the image. */
  readonly image?: ImageReference | undefined
  /** For `boot`: volumes, as `SRC:DST[:ro]`. */
  readonly volumes?: readonly string[]
  /** For `boot`: published ports, as `[ip:]host:guest[/udp]`. */
  readonly forwards?: readonly string[]
  /** The words after the options and the image: names, and a command. */
  readonly rest: readonly string[]
  /** Start the machine where it does not run, sharing directories with it. */
  readonly start?: (shares: readonly string[] | undefined) => Promise<unknown>
  /** Whether the command goes on when this one ends: its ports stay. */
  readonly detached?: boolean
  /** Aborted before the guest's command runs, it does not. Signals go to one that does. */
  readonly signal?: AbortSignal | undefined
}

const SIGNAL_TIMEOUT_MS = 10_000

/**
 * Carries a verb out with the `dat-container` of a machine, with this process's streams. Without a
 * terminal, SIGINT and SIGTERM are passed on; with one, what is typed is.
 *
 * @returns the exit status of the guest's command
 * @throws ContainerError `NOT_RUNNING`, `USAGE`, `CANCELLED`, and what starting the machine throws
 */
export async function runContainerVerb(verb: ContainerVerb): Promise<number> {
  const home = machineHome(verb.home)
  const paths = machinePaths(home, verb.machine)
  const volumes = (verb.volumes ?? []).map(parseBind)
  const forwards = (verb.forwards ?? []).map(parseForward)
  const link = verb.image === undefined ? undefined : await guestLink(verb.home, verb.image)
  const state = await running(paths, verb, volumes)
  const { shares } = await requireConfig(paths)
  const shown = volumes.flatMap((volume) => {
    const { source } = volume
    const path = pathInGuest(source, shares)
    if (path !== undefined) return ['--volume', guestVolume(path, volume)]
    throw new ContainerError('USAGE', `machine ${paths.name} runs and does not share ${source}`, {
      hint: `it can share it after its next start: dat-container machine stop ${paths.name}, then run this again`
    })
  })
  const options = [...verb.words, ...shown, ...(shown.length > 0 ? sharedIds(verb.words) : [])]
  const target = sshTarget(home, paths, state.sshPort)
  const image = link === undefined ? [] : [await giveLink(target, link.toString(), verb.signal)]
  const command = [
    quoteCommand(['dat-container', ...options, '--']),
    ...image,
    quoteCommand(verb.rest)
  ].join(' ')
  await openPorts(state, forwards)
  try {
    throwIfCancelled(verb.signal)
    return await throughSsh(target, command)
  } finally {
    if (verb.detached !== true) await closePorts(state, forwards).catch(() => {})
  }
}

/**
 * A guest sees directories of this machine by 9p, which cannot map user ids. The machine is around the container
 * all the same.
 */
function sharedIds(words: readonly string[]): string[] {
  const isSaid = words.some((word) => /^--(private-users|privileged)/.test(word))
  return isSaid ? [] : ['--private-users=no']
}

async function running(
  paths: MachinePaths,
  { start }: ContainerVerb,
  volumes: readonly Bind[]
): Promise<MachineState> {
  const before = await readLiveState(paths)
  if (before?.state === 'running') return before
  if (start) {
    const config = await requireConfig(paths).catch(() => undefined)
    await start(sharesFor(volumes, config?.shares ?? []))
    const started = await readLiveState(paths)
    if (started) return started
  }
  throw new ContainerError('NOT_RUNNING', `machine ${paths.name} does not run`, {
    hint: `start it: dat-container machine start ${paths.name}`
  })
}

async function throughSsh(target: SshTarget, command: string): Promise<number> {
  if (process.stdin.isTTY && process.stdout.isTTY) {
    return runSsh({ ...target, command, tty: 'always' })
  }
  // sshd leaves commands without a terminal alone when their client ends: a unit of its own can be told.
  const unit = `dat-verb-${randomBytes(6).toString('hex')}.scope`
  const scoped = `systemd-run --quiet --scope --collect --unit=${unit} ${command}`
  const pass = (signal: NodeJS.Signals): void => {
    const line = `systemctl kill --signal=${signal} ${unit}`
    void captureSsh(target, line, { timeoutMs: SIGNAL_TIMEOUT_MS }).catch(() => {})
  }
  return runSsh({ ...target, command: scoped, tty: 'never', onSignal: pass })
}
