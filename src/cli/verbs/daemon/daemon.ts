import type { Command } from 'commander'
import { parseListening } from '../../../rpc/listening.ts'
import { parseMaxDisk, parseRate } from '../../../rpc/daemon-limits.ts'
import { parseAllow, parsePublicKey } from '../../../rpc/allowed-peers.ts'
import { parseBootstrap } from '../../../rpc/bootstrap.ts'
import {
  daemonSettingsOf,
  daemonVariables,
  type ChangedSetting
} from '../../../rpc/daemon-settings.ts'
import { formatMetricsAddress, parseMetricsAddress } from '../../../rpc/metrics-address.ts'
import { ANY_PORT, parseUiAddress } from '../../../rpc/ui-address.ts'
import type { ProcessIdentity } from '../../../core/host/process-table.ts'
import type { HomePaths } from '../../../home/home.ts'
import type { DaemonClient } from '../../../session/connection/client.ts'
import type { DaemonStatus } from '../../../rpc/protocol.ts'
import { ContainerError } from '../../../core/errors.ts'
import { formatPeerAddress } from '../../../p2p/peer-address.ts'
import { refuseGroupSocket } from '../../../rpc/group-socket.ts'
import { readGlobals, type Globals } from '../../parse/globals.ts'
import { table } from '../../print/table.ts'
import { addServiceVerbs } from './install.ts'
import { setListening, withListening, type ListenFlags } from './listen-options.ts'

const STOP_TIMEOUT_MS = 15_000

export function addDaemon(program: Command): void {
  const daemon = program
    .command('daemon')
    .description('the service that stores, seeds and fetches images')
    .addHelpText(
      'after',
      '\nExamples:\n  dat-container daemon status\n' +
        '  dat-container daemon start --listen 192.0.2.7:7777\n' +
        '  dat-container daemon start --allow KEY,KEY\n' +
        '  sudo dat-container daemon install --member alice --max-disk 50G'
    )
  withListening(
    daemon.command('run').description('run the daemon in the foreground until SIGTERM or Ctrl-C')
  )
    .option(
      '--group-socket <path>',
      'also serve members of this process’s group, at a socket in a directory that root has made (see `daemon install`)'
    )
    .action(async (flags: ListenFlags & { groupSocket?: string }, command: Command) => {
      setListening(flags)
      await run(readGlobals(command), flags.groupSocket)
    })
  withListening(
    daemon.command('start').description('start the daemon in the background if it is not running')
  ).action(async (flags: ListenFlags, command: Command) => {
    setListening(flags)
    const { bootstrap, logLevel } = command.optsWithGlobals<{
      bootstrap?: string
      logLevel?: string
    }>()
    await start({ ...flags, bootstrap, logLevel }, readGlobals(command))
  })
  daemon
    .command('stop')
    .description('stop the daemon; containers wait until it is back')
    .action(async (_flags: object, command: Command) => stop(readGlobals(command)))
  withListening(
    daemon
      .command('reload')
      .description('give a running daemon the settings that it would be started with now')
      .addHelpText(
        'after',
        '\nPeers stay connected, but for those that `allow` no longer lists. `listen`, `advertise`,\n`lan`, `nat`, `relay`, `metrics` and `bootstrap` need another start. Settings that neither an option, the environment nor a file has go back to their defaults.' +
          '\n\nExamples:\n  dat-container daemon reload\n  dat-container daemon reload --max-up 2M'
      )
  ).action(async (flags: ListenFlags, command: Command) => {
    setListening(flags)
    await reload(readGlobals(command))
  })
  daemon
    .command('ui')
    .description(
      'print the address of the page on which a browser of this machine sees images and peers'
    )
    .addHelpText(
      'after',
      '\nThe address opens the page for whoever has it, until the daemon stops. The page only shows: nothing\ncan be changed there.' +
        '\n\nExamples:\n  dat-container daemon start --ui\n  dat-container daemon ui'
    )
    .action(async (_flags: object, command: Command) => ui(readGlobals(command)))
  daemon
    .command('status')
    .description('show whether the daemon runs; exit status 3 if it does not')
    .action(async (_flags: object, command: Command) => status(readGlobals(command)))
  addServiceVerbs(daemon)
}

async function run({ home, output }: Globals, groupSocket: string | undefined): Promise<void> {
  const { default: pino } = await import('pino')
  const { daemonLog } = await import('../../../daemon/daemon-log.ts')
  const { runDaemon } = await import('../../../daemon/run-daemon.ts')
  const { openHome } = await import('../../../home/home.ts')
  const { tellServiceManager } = await import('../../../core/host/service-manager.ts')
  refuseGroupSocket(openHome(home).groupSocket, 'daemon run')
  const log = daemonLog(pino.destination({ dest: 2, sync: true }))
  await runDaemon({
    home,
    groupSocket,
    settings: daemonSettingsOf(process.env),
    log,
    onReady: (daemon) => {
      output.note(`serving ${daemon.status().home}; Ctrl-C stops`)
      tellServiceManager('READY=1')
    }
  })
  // Sockets of the DHT that are still closing must not keep a stopped daemon alive.
  process.exit(0)
}

interface StartFlags extends ListenFlags {
  readonly bootstrap: string | undefined
  readonly logLevel: string | undefined
}

async function start(flags: StartFlags, globals: Globals): Promise<void> {
  const { DaemonClient } = await import('../../../session/connection/client.ts')
  const { openHome } = await import('../../../home/home.ts')
  const { METHODS } = await import('../../../rpc/protocol.ts')
  const paths = openHome(globals.home)
  {
    using running = await DaemonClient.connectRunning(paths)
    if (running) refuseIgnored(flags, await running.request(METHODS.status, null))
  }
  using client = await DaemonClient.connect(paths)
  const state = await client.request(METHODS.status, null)
  globals.output.result(state, () => [`the daemon runs as process ${state.pid}`])
}

/** @throws ContainerError `DAEMON_RUNNING` where options say something else than how the daemon was started */
function refuseIgnored(flags: StartFlags, running: DaemonStatus): void {
  const { listen, advertise } = parseListening(flags.listen, flags.advertise)
  const at = listen === undefined || listen === 'known' ? null : formatPeerAddress(listen)
  const nodes = parseBootstrap(flags.bootstrap)
  const ignored = [
    flags.listen !== undefined && at !== running.listen && '--listen',
    flags.advertise !== undefined &&
      (advertise && formatPeerAddress(advertise)) !== running.advertise &&
      '--advertise',
    flags.maxDisk !== undefined &&
      (parseMaxDisk(flags.maxDisk) ?? null) !== running.disk.maxBytes &&
      '--max-disk',
    flags.metrics !== undefined && metricsText(flags.metrics) !== running.metrics && '--metrics',
    flags.ui !== undefined && !isServedAt(flags.ui, running.ui) && '--ui',
    isIgnored(flags.maxUp, running.maxUp) && '--max-up',
    isIgnored(flags.maxDown, running.maxDown) && '--max-down',
    flags.allow !== undefined && !isAllowed(flags.allow, running) && '--allow',
    flags.bootstrap !== undefined && nodes?.join() !== running.bootstrap?.join() && '--bootstrap',
    flags.logLevel !== undefined && '--log-level'
  ].filter((name) => name !== false)
  if (ignored.length === 0) return
  const were = ignored.length === 1 ? 'was' : 'were'
  throw new ContainerError(
    'DAEMON_RUNNING',
    `the daemon is already running as process ${running.pid}: ${ignored.join(', ')} ${were} ignored`,
    {
      hint: 'stop it first (dat-container daemon stop), then start it with these options; containers wait meanwhile'
    }
  )
}

function metricsText(option: string): string | null {
  const address = parseMetricsAddress(option)
  return address ? formatMetricsAddress(address) : null
}

/** Whether a page is served where an option says. @param running its address */
function isServedAt(option: string | true, running: string | null): boolean {
  const address = parseUiAddress(option === true ? ANY_PORT : option)
  if (address === undefined || running === null) return address === undefined && running === null
  return address.port === 0 || running === `http://${formatPeerAddress(address)}/`
}

function isIgnored(asked: string | undefined, running: number | null): boolean {
  return asked !== undefined && (parseRate(asked) ?? null) !== running
}

/** Whether a daemon connects with the same peers as an option says. */
function isAllowed(allow: string, { allowed }: DaemonStatus): boolean {
  const wanted = parseAllow(allow) ?? new Set()
  const keys = new Set((allowed ?? []).map(parsePublicKey))
  return wanted.size === keys.size && [...wanted].every((key) => keys.has(key))
}

const NATS = {
  open: 'reachable from outside',
  consistent: 'one port for all destinations',
  random: 'another port for each destination',
  unknown: 'not known'
} as const

function natText({ kind, seenAt, isAssumed, relays }: DaemonStatus['nat']): string {
  const at = seenAt === null || isAssumed ? '' : `, seen at ${seenAt}`
  const relayed = relays.length === 0 ? '' : `; relays: ${relays.join(', ')}`
  return `${isAssumed ? 'taken to be none' : NATS[kind]}${at}${relayed}`
}

async function stop(globals: Globals): Promise<void> {
  const { DaemonClient } = await import('../../../session/connection/client.ts')
  const { openHome } = await import('../../../home/home.ts')
  const { lockHolder, takeLock } = await import('../../../core/host/kernel-lock.ts')
  const { isAlive } = await import('../../../core/host/process-table.ts')
  const paths = openHome(globals.home)
  using client = await DaemonClient.connectRunning(paths)
  if (!client) {
    globals.output.result({ stopped: false }, () => ['no daemon runs'])
    return
  }
  const { describeUsers, imageUsers } = await import('../../../boot/containers/image-users.ts')
  const users = await imageUsers(globals.home)
  const waiting = { ...users, containers: users.containers.filter(({ isRunning }) => isRunning) }
  const described = describeUsers(waiting)
  if (described !== '') {
    globals.output.note(
      `reads of ${described} wait until the daemon is back (to start it: dat-container daemon start)`
    )
  }
  const daemon = await endDaemon(client, paths)
  const deadline = Date.now() + STOP_TIMEOUT_MS
  for (;;) {
    // It gives its lock back before it ends, and has files of its home open until then.
    if (!isAlive(daemon)) {
      await using lock = await takeLock(paths.daemonLock, { keepFile: true })
      if (lock) break
    }
    if (Date.now() > deadline) {
      throw new ContainerError('TIMEOUT', 'the daemon did not stop in time', {
        hint: `end process ${await lockHolder(paths.daemonLock)} by hand`
      })
    }
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  const document = {
    stopped: true,
    waiting: { containers: waiting.containers.map(({ name }) => name), mounts: waiting.mounts }
  }
  globals.output.result(document, () => ['the daemon has stopped'])
}

/** Asks a daemon to end, or tells it by a signal where it does not understand. @returns its process, if it is still there */
async function endDaemon(
  client: DaemonClient,
  paths: HomePaths
): Promise<ProcessIdentity | undefined> {
  const { METHODS } = await import('../../../rpc/protocol.ts')
  const { lockHolder } = await import('../../../core/host/kernel-lock.ts')
  const { identify } = await import('../../../core/host/process-table.ts')
  try {
    const daemon = identify((await client.request(METHODS.status, null)).pid)
    await client.request(METHODS.shutdown, null)
    return daemon
  } catch (error) {
    if (!client.isForeign || paths.groupSocket !== undefined) throw error
    const pid = await lockHolder(paths.daemonLock)
    if (pid === undefined) throw error
    const daemon = identify(pid)
    process.kill(pid, 'SIGTERM')
    return daemon
  }
}

async function reload(globals: Globals): Promise<void> {
  const { METHODS } = await import('../../../rpc/protocol.ts')
  using client = await requireRunning(
    globals,
    'it will have the settings of today when it is started: dat-container daemon start'
  )
  const { default: prettyBytes } = await import('pretty-bytes')
  const valueText = (value: string | number | null): string =>
    typeof value === 'number' ? prettyBytes(value) : (value ?? 'the default')
  const changeText = ({ key, before, now }: ChangedSetting): string =>
    `${key}: ${valueText(now)} instead of ${valueText(before)}`
  const answer = await client.request(METHODS.reload, { environment: daemonVariables(process.env) })
  globals.output.result(answer, () => [
    ...(answer.changed.length > 0 ? answer.changed.map(changeText) : ['nothing has changed']),
    ...answer.needRestart.map(
      (change) => `${changeText(change)}: after another start of the daemon`
    )
  ])
}

async function ui(globals: Globals): Promise<void> {
  const { METHODS } = await import('../../../rpc/protocol.ts')
  using client = await requireRunning(
    globals,
    'start it with a page: dat-container daemon start --ui'
  )
  const page = await client.request(METHODS.page, null)
  globals.output.result(page, () => [page.url])
}

/** @throws ContainerError `NOT_FOUND` with that hint where none runs */
async function requireRunning({ home }: Globals, hint: string): Promise<DaemonClient> {
  const { DaemonClient } = await import('../../../session/connection/client.ts')
  const { openHome } = await import('../../../home/home.ts')
  const client = await DaemonClient.connectRunning(openHome(home))
  if (client) return client
  throw new ContainerError('NOT_FOUND', 'no daemon runs', { hint })
}

async function status(globals: Globals): Promise<void> {
  const { DaemonClient } = await import('../../../session/connection/client.ts')
  const { openHome } = await import('../../../home/home.ts')
  const { METHODS } = await import('../../../rpc/protocol.ts')
  using client = await DaemonClient.connectRunning(openHome(globals.home))
  if (!client) {
    globals.output.result({ running: false }, () => ['no daemon runs'])
    process.exitCode = 3
    return
  }
  const state = await client.request(METHODS.status, null)
  const { default: prettyBytes } = await import('pretty-bytes')
  const diskText = ({ usedBytes, maxBytes }: DaemonStatus['disk']): string =>
    prettyBytes(usedBytes) + (maxBytes === null ? '' : ` of ${prettyBytes(maxBytes)}`)
  globals.output.result({ running: true, ...state }, () =>
    table([
      ['process', String(state.pid)],
      ['home', state.home],
      ['release', state.version],
      ['since', state.startedAt],
      [
        'DHT',
        (state.bootstrap ? `private: ${state.bootstrap.join(', ')}` : 'public') +
          (state.online ? '' : ' (no node answers)')
      ],
      ['NAT', natText(state.nat)],
      ...(state.listen ? [['listens at', state.listen]] : []),
      ...(state.advertise ? [['links say', state.advertise]] : []),
      ['public key', state.publicKey],
      ...(state.allowed
        ? [
            [
              'connects with',
              `${state.allowed.length} allowed ${state.allowed.length === 1 ? 'home' : 'homes'} only`
            ]
          ]
        : []),
      ['images', String(state.images)],
      ...(state.metrics === null ? [] : [['metrics', state.metrics]]),
      ...(state.ui === null ? [] : [['page', state.ui]]),
      ...(state.groupSocket === null ? [] : [['socket of its group', state.groupSocket]]),
      ['store', diskText(state.disk)],
      ...(state.maxUp === null ? [] : [['max-up', `${prettyBytes(state.maxUp)}/s`]]),
      ...(state.maxDown === null ? [] : [['max-down', `${prettyBytes(state.maxDown)}/s`]]),
      ...(state.store.damagedBlocks > 0
        ? [['damaged', `${state.store.damagedBlocks} blocks, dropped and to be fetched again`]]
        : []),
      ...(state.store.unstoredBlocks > 0
        ? [
            [
              'not stored',
              `${state.store.unstoredBlocks} blocks were passed on without being stored: ${state.store.unstoredReason}`
            ]
          ]
        : []),
      ...state.dropped.map(({ publicKey, why, times, restMs }) => [
        'dropped',
        `${publicKey}: ${why === 'lied' ? 'it sent wrong blocks' : 'it did not send blocks that it has'}` +
          (times > 1 ? `, ${times} times` : '') +
          (restMs > 0 ? `; left alone for ${Math.ceil(restMs / 1_000)} s` : '')
      ]),
      [
        'peers',
        state.direct ? `${state.connections}, ${state.direct} by TCP` : `${state.connections}`
      ]
    ])
  )
}
