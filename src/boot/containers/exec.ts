import { randomBytes } from 'node:crypto'
import { isatty } from 'node:tty'
import { join } from 'node:path'
import { withCleanup } from '../../core/cleanup-stack.ts'
import { cgroupPids, makeCgroups, removeCgroups } from '../nspawn/cgroup.ts'
import { openCommandStreams, type CommandStream } from '../console/command-streams.ts'
import { CONTAINER_PATH, findCommand } from '../nspawn/container-command.ts'
import { requireRunning } from '../state/container-record.ts'
import { resolveUser, type ContainerUser } from '../nspawn/container-user.ts'
import { enterContainer } from '../enter/enter-container.ts'
import { entryFailure } from '../enter/entry-failure.ts'
import { readExecDefaults, type ExecDefaults } from '../nspawn/exec-defaults.ts'
import { runEntry } from './exec-process.ts'
import { missingTool } from '../../core/host/host-command.ts'
import { startedLeader } from './leader.ts'
import { isOnHost } from '../../core/host/package-manager.ts'
import { bootPaths, containerPaths } from '../state/paths.ts'
import { requireRoot } from '../../core/host/require-root.ts'
import { hostIdOfProcess } from '../ids/user-map.ts'

export interface ExecOptions {
  readonly home: string
  readonly name: string
  readonly argv: readonly string[]
  /** `NAME=value`, over what the container was started with; `NAME` passes our own on. */
  readonly env?: readonly string[]
  /** Working directory in the container. @default the container's own, or / */
  readonly cwd?: string
  /** `user[:group]`, names or numbers of the container. @default the container's own, or root */
  readonly user?: string
  /** Give the command a terminal. @default false */
  readonly tty?: boolean
  /** All capabilities of the container's user namespace, and no seccomp filter. @default false */
  readonly privileged?: boolean
  /**
   * The command's three standard streams. A number is an open file that is handed over as it is;
   * of this process's own streams it gets copies. @default 'inherit'
   */
  readonly stdio?: CommandStream | readonly CommandStream[]
  /** Aborting sends SIGTERM to the command. */
  readonly signal?: AbortSignal
}

/**
 * Runs a command in a running container and waits for it: with the container's namespaces, cgroup,
 * seccomp filter, capabilities, no-new-privileges, resource limits, OOM score and environment.
 * Signals that this process gets meanwhile go to the command.
 *
 * @returns the command's exit code; 128 + n when signal n ended it
 * @throws ContainerError `NOT_FOUND`, `NOT_RUNNING`, `COMMAND_NOT_FOUND`, `COMMAND_NOT_EXECUTABLE`,
 *   `MISSING_TOOL` (where the kernel does not tell the container's filter, too), `BUSY`, `NEEDS_ROOT`
 */
export async function execInContainer(options: ExecOptions): Promise<number> {
  requireRoot('running a command in a container')
  const { tty = false, privileged = false, signal } = options
  if (tty && !isOnHost('script')) throw await missingTool('script')
  const paths = containerPaths(bootPaths(options.home), options.name)
  const state = await requireRunning(paths)
  const leader = await startedLeader(state)
  const root = `/proc/${leader.pid}/root`
  const defaults = await readExecDefaults(paths)
  const user = await resolveUser(root, options.user ?? defaults.user ?? '0')
  const env = environment(options, defaults, user)
  const cwd = options.cwd ?? defaults.cwd ?? '/'
  const { argv } = options
  const path = await findCommand(root, argv[0] ?? '', { path: env['PATH'] ?? CONTAINER_PATH, cwd })
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const command = { user, cwd, terminal: tty, path, argv, env: variables }
  // One of its own: another that ends would remove one that it shares.
  const cgroup = join('exec', randomBytes(4).toString('hex'))
  const cgroups = await makeCgroups(state.cgroups.map((directory) => join(directory, cgroup)))
  try {
    return await withCleanup(async (opened) => {
      const rights = { privileged, mode: state.mode, filterCache: paths.filters }
      const entry = await enterContainer(leader, command, cgroups, rights, opened)
      const { stdio = 'inherit' } = options
      const wanted = typeof stdio === 'object' ? stdio : [stdio, stdio, stdio]
      // script(1) is ours, so it may have our streams themselves.
      const streams = tty ? undefined : openCommandStreams(wanted, ownerOf(leader.pid, user))
      const { exitCode, report } = await runEntry(entry, {
        streams: streams?.descriptors ?? wanted,
        terminal: tty,
        keepsSession: tty && isatty(0),
        signal,
        onStarted: () => streams?.started()
      })
      await streams?.finish()
      if (report !== undefined) throw entryFailure(report, command)
      return exitCode
    })
  } finally {
    // Processes that the command started may still run; they end with the container.
    if (cgroupPids(cgroups).length === 0) await removeCgroups(cgroups, { parents: 0 })
  }
}

/** The ids on this machine of a user of the container. */
function ownerOf(leaderPid: number, { uid, gid }: ContainerUser): { uid: number; gid: number } {
  return {
    uid: hostIdOfProcess(leaderPid, 'uid_map', uid),
    gid: hostIdOfProcess(leaderPid, 'gid_map', gid)
  }
}

function environment(
  options: ExecOptions,
  defaults: ExecDefaults,
  user: ContainerUser
): Record<string, string> {
  const env: Record<string, string> = {
    PATH: CONTAINER_PATH,
    HOME: user.homeDirectory,
    container: 'systemd-nspawn'
  }
  if (user.name !== undefined) env['USER'] = user.name
  const { TERM } = process.env
  if (options.tty === true) env['TERM'] = TERM ?? 'xterm'
  for (const variable of [...(defaults.env ?? []), ...(options.env ?? [])]) {
    const [name = ''] = variable.split('=', 1)
    const own = process.env[name]
    if (variable.includes('=')) env[name] = variable.slice(name.length + 1)
    else if (own !== undefined) env[name] = own
  }
  return env
}
