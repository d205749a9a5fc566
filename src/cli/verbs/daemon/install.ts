import type { Command } from 'commander'
import type { Installed, ServicePlan } from '../../../service/install-service.ts'
import { daemonSettingsOf, type DaemonSettings } from '../../../rpc/daemon-settings.ts'
import { checkConfig } from '../../parse/check-config.ts'
import { CONFIG_KEYS, parseSettings } from '../../parse/config-file.ts'
import { readGlobals, type Globals } from '../../parse/globals.ts'
import { setListening, settingsIn, withListening, type ListenFlags } from './listen-options.ts'

interface InstallFlags extends ListenFlags {
  readonly member?: string[]
  readonly dryRun?: boolean
}

/** Adds the verbs that make a service of systemd of the daemon, and end it. */
export function addServiceVerbs(daemon: Command): void {
  withListening(
    daemon
      .command('install')
      .description('run a daemon for all members of a group, as a service of systemd')
      .option('--member <user...>', 'let these users of this machine use the daemon')
      .option('--dry-run', 'print the unit and the configuration, and change nothing')
      .addHelpText(
        'after',
        `
The daemon runs as a system user of its own, in a sandbox, and starts with this machine. Its images are in
/var/lib/dat-container-daemon. Options become settings in /etc/dat-container-daemon.conf; a second call changes
those that it gives, and restarts the daemon only if they need it. Users who are in the group dat-container use this daemon
instead of one of their own if they set

  socket = /run/dat-container-daemon/daemon.sock

in ~/.config/dat-container.conf, or DAT_CONTAINER_SOCKET. All members can read, publish and remove all of its images.
To change the unit, use \`systemctl edit dat-container\`. Its log: journalctl -u dat-container.

Examples:
  sudo dat-container daemon install --member alice --max-disk 50G
  dat-container daemon install --dry-run`
      )
  ).action(async (flags: InstallFlags, command: Command) => install(flags, command))
  daemon
    .command('uninstall')
    .description('end the service of `daemon install`')
    .option('--purge', 'also delete its images and its keys, its user and its group')
    .addHelpText(
      'after',
      '\nWithout --purge, images and keys stay in /var/lib/dat-container-daemon, and the next installation has them.' +
        '\n\nExample:\n  sudo dat-container daemon uninstall'
    )
    .action(async ({ purge = false }: { purge?: boolean }, command: Command) =>
      uninstall(purge, readGlobals(command))
    )
}

const DONE: Readonly<Record<Installed, string>> = {
  started: 'the daemon has been started',
  restarted: 'the daemon was started again',
  reloaded: 'the daemon goes by its new settings',
  unchanged: 'nothing has changed'
}

async function install(flags: InstallFlags, command: Command): Promise<void> {
  const { member: members = [], dryRun = false } = flags
  setListening(flags)
  const globals = readGlobals(command)
  const { requireRoot } = await import('../../../core/host/require-root.ts')
  const { serviceFlags } = await import('../../../core/host/service-flags.ts')
  const { checkServiceProgram } = await import('../../../service/check-program.ts')
  const { installService, planService } = await import('../../../service/install-service.ts')
  const { SERVICE } = await import('../../../service/service-paths.ts')
  const { changedSettings } = await import('../../../rpc/daemon-settings.ts')
  const { requireSystemd } = await import('../../../service/systemd.ts')
  if (!dryRun) {
    requireSystemd()
    requireRoot('daemon install')
  }
  const [node, main] = [process.execPath, process.argv[1] ?? ''].map(
    dryRun ? (path) => path : checkServiceProgram
  ) as [string, string]
  const settings = settingsOf(flags, command)
  const plan = planService({ node, main, flags: serviceFlags('daemon') }, settings)
  const after = daemonSettings(plan.config.text, plan.config.path)
  if (dryRun) return printPlan(plan, globals)
  const needsRestart = (before: string): boolean =>
    changedSettings(daemonSettings(before, plan.config.path), after).fixed.length > 0
  const done = await installService({ plan, members, needsRestart })
  const { unit, user, home, config, socket } = SERVICE
  globals.output.result({ done, unit, user, group: user, home, config, socket, members }, () => [
    `${unit}: ${DONE[done]}`,
    `settings: ${config}; images: ${home}`,
    `members of the group ${user} use it with: socket = ${socket}`,
    ...(members.length > 0 ? ['new members have to log in again'] : [])
  ])
}

function printPlan({ unit, config }: ServicePlan, { output }: Globals): void {
  output.result({ unit, config }, () =>
    [unit, config].flatMap(({ path, text }) => [`# ${path}`, ...text.split('\n')])
  )
}

/** What the options say, by keys of the configuration. */
function settingsOf(flags: ListenFlags, command: Command): Record<string, string> {
  const { bootstrap, logLevel } = command.optsWithGlobals<{
    bootstrap?: string
    logLevel?: string
  }>()
  return {
    ...(bootstrap !== undefined && { bootstrap }),
    ...settingsIn(flags),
    ...(logLevel !== undefined && { 'log-level': logLevel })
  }
}

/** @throws ContainerError `USAGE`, which names file and line */
function daemonSettings(config: string, path: string): DaemonSettings {
  const settings = parseSettings(config, path)
  checkConfig({ settings, error: undefined })
  const entries = settings.map(({ key, value }) => [CONFIG_KEYS[key], value])
  return daemonSettingsOf(Object.fromEntries(entries) as Record<string, string>)
}

async function uninstall(purge: boolean, { output }: Globals): Promise<void> {
  const { requireRoot } = await import('../../../core/host/require-root.ts')
  const { uninstallService } = await import('../../../service/uninstall-service.ts')
  requireRoot('daemon uninstall')
  const done = await uninstallService({ purge })
  output.result(done, () => [
    done.uninstalled ? 'the service is no longer there' : 'there is no service',
    ...(done.home === null
      ? []
      : [`its images and keys are still in ${done.home}; --purge deletes them`])
  ])
}
