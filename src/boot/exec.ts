import { spawn, type StdioOptions } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { isatty } from 'node:tty'
import { cgroupPids, inCgroups, makeCgroups, removeCgroups } from './cgroup.ts'
import { CONTAINER_PATH, findCommand } from './container-command.ts'
import { requireRunning } from './container-record.ts'
import { resolveUser, type ContainerUser } from './container-user.ts'
import { missingTool } from './host-command.ts'
import { planNsenter } from './nsenter-plan.ts'
import { keepNsenterGoing } from './nsenter-watch.ts'
import { currentLeader } from './leader.ts'
import { hostProgram, isOnHost } from './package-manager.ts'
import { bootPaths, containerPaths } from './paths.ts'
import { childrenOf, readProcFile, type ProcessIdentity } from './process-table.ts'
import { requireRoot } from './require-root.ts'
import { quoteForShell } from './shell-quote.ts'

export interface ExecOptions {
  readonly home: string
  readonly name: string
  readonly argv: readonly string[]
  /** `NAME=value`, over PATH, HOME, TERM and `container`. */
  readonly env?: readonly string[]
  /** Working directory in the container. @default the user's home directory, or / */
  readonly cwd?: string
  /** `user[:group]`, names or numbers of the container. @default root */
  readonly user?: string
  /** Give the command a terminal. @default false */
  readonly tty?: boolean
  /** @default 'inherit' */
  readonly stdio?: StdioOptions
  /** Aborting sends SIGTERM to the command. */
  readonly signal?: AbortSignal
}

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const
const SIGNAL_EXIT_BASE = 128

/**
 * Runs a command in a running container and waits for it. Signals that this process gets meanwhile
 * go to the command.
 *
 * @returns the command's exit code; 128 + n when signal n ended it
 * @throws ContainerError `NOT_FOUND`, `NOT_RUNNING`, `COMMAND_NOT_FOUND`, `COMMAND_NOT_EXECUTABLE`,
 *   `MISSING_TOOL`, `NEEDS_ROOT`
 */
export async function execInContainer(options: ExecOptions): Promise<number> {
  requireRoot('run a command in a container')
  for (const tool of ['nsenter', 'setpriv']) if (!isOnHost(tool)) throw await missingTool(tool)
  const places = containerPaths(bootPaths(options.home), options.name)
  const state = await requireRunning(places)
  const leader = currentLeader(state)
  const root = `/proc/${leader.pid}/root`
  const user = await resolveUser(root, options.user ?? '0')
  const env = environment(options, user)
  const cwd = options.cwd ?? '/'
  const path = env.PATH ?? CONTAINER_PATH
  await findCommand(root, options.argv[0] ?? '', { path, cwd })
  const inside = planNsenter({
    leaderPid: leader.pid,
    argv: options.argv,
    cwd,
    user,
    userNamespace: hasOwnUserNamespace(leader),
    terminal: options.tty === true,
    ...capabilityBound(leader)
  })
  const cgroups = await makeCgroups(state.cgroups.map((directory) => join(directory, 'exec')))
  try {
    const command = inCgroups(cgroups, inside)
    return await runForwarding(options.tty === true ? onTerminal(command) : command, env, options)
  } finally {
    // Other commands may run in the same cgroup; the last one removes it.
    if (cgroupPids(cgroups).length === 0) await removeCgroups(cgroups, { parents: 0 })
  }
}

/** script(1) makes a fresh terminal, so that the container never holds the user's own. */
function onTerminal(command: readonly string[]): string[] {
  return [
    hostProgram('script'),
    '--quiet',
    '--flush',
    '--return',
    '--command',
    `exec ${command.map(quoteForShell).join(' ')}`,
    '/dev/null'
  ]
}

async function runForwarding(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  { stdio = 'inherit', tty = false, signal }: ExecOptions
): Promise<number> {
  const [file = '', ...args] = command
  if (tty && !isOnHost('script')) throw await missingTool('script')
  // A session of its own, unless the terminal is to be the controlling one of script(1).
  const child = spawn(hostProgram(file), args, {
    stdio,
    env,
    cwd: '/',
    detached: !(tty && isatty(0))
  })
  const forward = (name: NodeJS.Signals): void => {
    for (const pid of innermostChildren(child.pid ?? 0)) {
      try {
        process.kill(pid, name)
      } catch {
        // It ended meanwhile.
      }
    }
  }
  const abort = (): void => forward('SIGTERM')
  const endWatch = keepNsenterGoing(child.pid ?? 0)
  for (const name of FORWARDED) process.on(name, forward)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, killer) => {
        resolve(code ?? SIGNAL_EXIT_BASE + (killer === null ? 0 : constants.signals[killer]))
      })
    })
  } finally {
    endWatch()
    for (const name of FORWARDED) process.off(name, forward)
    signal?.removeEventListener('abort', abort)
  }
}

/** The command itself: what the wrapping sh, script and nsenter have started, they not included. */
function innermostChildren(pid: number): number[] {
  const children = childrenOf(pid)
  const name = (readProcFile(`/proc/${pid}/comm`) ?? '').trim()
  const isWrapper = ['sh', 'script', 'setpriv', 'nsenter'].includes(name)
  return isWrapper ? children.flatMap((child) => commandBelow(child)) : [pid]
}

/** Below nsenter everything is the container's, whatever its name. */
function commandBelow(pid: number): number[] {
  const line = /^NSpid:\s+(.*)$/m.exec(readProcFile(`/proc/${pid}/status`) ?? '')?.[1] ?? ''
  return line.split(/\s+/).length > 1 ? [pid] : innermostChildren(pid)
}

function environment(options: ExecOptions, user: ContainerUser): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {
    PATH: CONTAINER_PATH,
    HOME: user.homeDirectory,
    container: 'systemd-nspawn'
  }
  if (user.name !== undefined) env['USER'] = user.name
  const { TERM } = process.env
  if (options.tty === true) env['TERM'] = TERM ?? 'xterm'
  for (const variable of options.env ?? []) {
    const [name = ''] = variable.split('=', 1)
    if (variable.includes('=')) env[name] = variable.slice(name.length + 1)
    else if (process.env[name] !== undefined) env[name] = process.env[name]
  }
  return env
}

function capabilityBound(leader: ProcessIdentity): { capabilityBound?: string } {
  const mask = /^CapBnd:\s+([0-9a-f]+)$/m.exec(
    readProcFile(`/proc/${leader.pid}/status`) ?? ''
  )?.[1]
  return mask === undefined ? {} : { capabilityBound: mask }
}

function hasOwnUserNamespace(leader: ProcessIdentity): boolean {
  return readlinkSync(`/proc/${leader.pid}/ns/user`) !== readlinkSync('/proc/self/ns/user')
}
