import { Option, type Command } from 'commander'
import type { ContainerOptions } from '../../../boot/state/boot-options.ts'
import { CONSOLE_KEYS_TEXT } from '../../../boot/console/console-keys.ts'
import type { ImageNews } from '../../../session/connection/image-session.ts'
import type { BootProfile } from '../../../image/format/boot-profile.ts'
import { ContainerError } from '../../../core/errors.ts'
import { collect, durationOption, oneOf } from '../../parse/arguments.ts'
import { containerOptions, type BootFlags } from './container-options.ts'
import { readGlobals, type Globals } from '../../parse/globals.ts'
import { tellNews } from '../../print/image-news.ts'
import { interruptible } from '../../print/interrupt.ts'
import { MountStalls } from '../../print/mount-stalls.ts'
import { Seeking } from '../../print/seeking.ts'
import { REUSE_OPTION } from '../../parse/open-options.ts'
import { peerTimeoutOption } from '../../parse/peer-timeout.ts'
import { sayOptionsPlace } from '../../parse/usage-errors.ts'

const LONG_WAIT_MS = 60_000
const STILL_WAITING =
  'still waiting for the init to say that it is ready; one that is not systemd may never do so ' +
  '(--wait-timeout limits the wait)'

const OPTIONS_PLACE =
  'an option of the command in the container? put -- before the command: boot IMAGE -- COMMAND'

export function addBoot(program: Command): void {
  sayOptionsPlace(program.command('boot'), OPTIONS_PLACE)
    .description('run a container of an image, fetching of it what is touched')
    .argument('<image>', 'a link, or the name of an image that is on this machine')
    .argument('[command...]', 'after --: run this instead of booting the image’s init')
    .option('-n, --name <name>', 'name of the container')
    .option('-d, --detach', 'return when the container runs')
    .addOption(
      new Option(
        '--wait <state>',
        'with --detach: wait until running (it has a PID 1) or ready (its init says so, or a command runs)'
      )
        .argParser(oneOf('running', 'ready'))
        .default('running')
    )
    .addOption(
      durationOption(
        '--wait-timeout <duration>',
        'with --wait ready: no longer than this from running on; then fail, and let it go on'
      )
    )
    .option('--ephemeral', 'keep writes in memory and forget the container when it ends')
    .option('--read-only', 'allow no writes')
    .option('--rm', 'remove the container when it ends')
    .option('--boot', 'boot the init even if the image names a command')
    .option('-i, --interactive', 'as of docker: what is not detached has your input anyway')
    .option('-t, --tty', 'as of docker: a command has your terminal where there is one')
    .option('-e, --env <name=value>', 'set a variable (repeatable)', collect)
    .option('-w, --workdir <dir>', 'where the command runs')
    .option('-u, --user <user>', 'as whom the command runs')
    .option('--hostname <name>', 'host name in the container')
    .option('-v, --volume <src:dst[:ro]>', 'show a directory of this machine (repeatable)', collect)
    .option(
      '-p, --publish <[ip:]host:guest[/udp]>',
      'with --vm: forward a port (repeatable)',
      collect
    )
    .addOption(
      new Option('--network <mode>', 'host, none or private (loopback only)').argParser(
        oneOf('host', 'none', 'private')
      )
    )
    .option('--cap-add <capability>', 'grant a capability (repeatable)', collect)
    .option('--cap-drop <capability>', 'take a capability away (repeatable)', collect)
    .option(
      '--device <path[:path][:rwm]>',
      'let it use a device of this machine (repeatable)',
      collect
    )
    .addOption(
      new Option(
        '--private-users <which>',
        'auto: user ids of its own (default); no: this machine’s, so that its root is root here'
      ).argParser(oneOf('auto', 'no'))
    )
    .addOption(
      new Option('--id-mapping <how>', 'auto; served: as where the kernel cannot map ids')
        .argParser(oneOf('auto', 'served'))
        .hideHelp()
    )
    .option(
      '--privileged',
      'no isolation from this machine: all capabilities, all devices, its user ids, no system-call filter'
    )
    .option('--nspawn-arg <argument>', 'pass on to systemd-nspawn (repeatable)', collect)
    .addOption(
      new Option('--mount <mode>', 'how the image is mounted: auto, erofs or fuse')
        .argParser(oneOf('auto', 'erofs', 'fuse'))
        .default('auto')
    )
    .option('--lazy-only', 'never fetch what is not touched')
    .option(...REUSE_OPTION)
    .option('--record', 'record what it reads, to be fetched first the next time')
    .option('--offline', 'use only what is on this machine')
    .addOption(
      new Option('--on-peer-loss <policy>', 'what reads do without peers: wait or fail')
        .argParser(oneOf('wait', 'fail'))
        .default('wait')
    )
    .addOption(peerTimeoutOption())
    .addHelpText(
      'after',
      "\nExamples:\n  dat-container boot 'dat://KEY#SECRET' -n web -d --wait ready --wait-timeout 2m\n" +
        "  dat-container boot 'dat://KEY#SECRET' --ephemeral -- sh -c 'uname -a'\n" +
        '\nOn a terminal what you type goes to the console of an init; Ctrl-C stops the container, Ctrl-] three\n' +
        'times within a second ends it at once. -d puts it in the background.\n' +
        '\nA container has user ids of its own: its root is nobody on this machine, and with --network host it\n' +
        'binds no port below 1024. --private-users no gives that up: who breaks out is then root here. With\n' +
        '--privileged nothing keeps it in: it reads and writes every disk. Both are for images that you trust\n' +
        'like this machine’s own root, and hold for a container’s whole life.'
    )
    .action(async (image: string, argv: string[], flags: BootFlags, command: Command) => {
      await boot(image, argv, flags, readGlobals(command))
    })
}

async function boot(
  image: string,
  argv: readonly string[],
  flags: BootFlags,
  globals: Globals
): Promise<void> {
  if (flags.publish !== undefined) {
    throw new ContainerError('USAGE', '--publish is for containers in a machine', {
      hint: 'on this machine, a container has the host’s network and ports; with --vm it is published'
    })
  }
  const container = containerOptions(image, argv, flags, globals.home)
  if (!flags.detach) {
    const { startMounterAhead } = await import('../../../boot/lease/mount-ahead.ts')
    const mounter = startMounterAhead(container)
    // Loaded while the mounter loads.
    const { runContainer } = await import('../../../boot/runner/runner.ts')
    using seeking = new Seeking(globals.output, flags.peerTimeout, flags.offline)
    using stalls = new MountStalls(globals.output)
    const { exitCode } = await runContainer({
      container,
      console: 'inherit',
      events: {
        onMounted: () => seeking.found(),
        onState: ({ mounterSocket }) => stalls.watch(mounterSocket),
        onNews: (news) => tellNews(globals.output, news, flags.offline),
        onTyping: () => globals.output.note(CONSOLE_KEYS_TEXT),
        onRecorded: (profile) => globals.output.note(recorded(profile))
      },
      ...(mounter === undefined ? {} : { mounter })
    })
    process.exitCode = exitCode
    return
  }
  await bootInBackground(container, flags, globals)
}

async function bootInBackground(
  container: ContainerOptions,
  { wait, waitTimeout, offline, peerTimeout }: BootFlags,
  { home, output }: Globals
): Promise<void> {
  const { bootDetached } = await import('../../../boot/runner/boot-detached.ts')
  let timer: NodeJS.Timeout | undefined
  const seeking = new Seeking(output, peerTimeout, offline)
  const onState = ({ leader }: { leader?: unknown }): void => {
    seeking.found()
    if (leader !== undefined && wait === 'ready') {
      timer ??= setTimeout(() => output.note(STILL_WAITING), LONG_WAIT_MS)
    }
  }
  await interruptible(async (signal) => {
    const limit =
      waitTimeout === undefined || wait !== 'ready' ? {} : { waitTimeoutMs: waitTimeout }
    const onNews = (news: ImageNews): void => tellNews(output, news, offline)
    const booting = bootDetached({ container, wait, ...limit, onState, onNews, signal })
    // Loaded while the container starts, not before.
    const [state, { inspectContainer }] = await Promise.all([
      booting.finally(() => {
        clearTimeout(timer)
        seeking.found()
      }),
      import('../../../boot/containers/containers.ts')
    ])
    const summary = await inspectContainer(home, state.name)
    output.result({ ...summary, config: undefined, current: undefined }, () => [state.name])
  })
}

function recorded({ chunks, ready }: BootProfile): string {
  const when = ready < chunks.length ? `, ${ready} of them until it was ready` : ''
  return `recorded ${chunks.length} chunks${when}: they are fetched first the next time`
}
