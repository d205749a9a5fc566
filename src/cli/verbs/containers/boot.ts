import type { ImageReference } from '../../../p2p/link.ts'
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
import { resolveChannel } from '../../parse/resolve-channels.ts'
import { sayOptionsPlace } from '../../parse/usage-errors.ts'

const LONG_WAIT_MS = 60_000
const STILL_WAITING =
  'still waiting for the init to report that it is ready; one that is not systemd may never do so ' +
  '(--wait-timeout limits the wait)'

const OPTIONS_PLACE =
  'an option of the command in the container? put -- before the command: boot IMAGE -- COMMAND'

export function addBoot(program: Command): void {
  sayOptionsPlace(program.command('boot'), OPTIONS_PLACE)
    .description('run a container of an image, fetching blocks on first use')
    .argument('<image>', 'a link, or the name of an image that is on this machine')
    .argument('[command...]', 'after --: run this command instead of the image’s init')
    .option('-n, --name <name>', 'name for the container')
    .option('-d, --detach', 'run in the background; return when the container runs')
    .addOption(
      new Option(
        '--wait <state>',
        'with --detach: wait until the container is running (it has a PID 1) or ready (its init says so, or its command runs)'
      )
        .argParser(oneOf('running', 'ready'))
        .default('running')
    )
    .addOption(
      durationOption(
        '--wait-timeout <duration>',
        'with --wait ready: fail if it is not ready this long after it started running; the container goes on'
      )
    )
    .option('--ephemeral', 'keep writes in memory, and remove the container when it ends')
    .option('--read-only', 'make the root filesystem read-only')
    .option('--rm', 'remove the container when it ends')
    .option('--boot', 'boot the init even if the image defines a command')
    .option(
      '-i, --interactive',
      'accepted for compatibility with docker: a container in the foreground always gets your input'
    )
    .option(
      '-t, --tty',
      'accepted for compatibility with docker: a command always gets your terminal if there is one'
    )
    .option('-e, --env <name=value>', 'set a variable (repeatable)', collect)
    .option('-w, --workdir <dir>', 'working directory of the command')
    .option('-u, --user <user>', 'user that runs the command')
    .option('--hostname <name>', 'host name in the container')
    .option(
      '-v, --volume <src:dst[:ro]>',
      'mount a directory of this machine in the container (repeatable)',
      collect
    )
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
    .option('--cap-add <capability>', 'add a capability (repeatable)', collect)
    .option('--cap-drop <capability>', 'drop a capability (repeatable)', collect)
    .option(
      '--device <path[:path][:rwm]>',
      'give access to a device of this machine (repeatable)',
      collect
    )
    .addOption(
      new Option(
        '--private-users <which>',
        'auto (default): its own user ids; no: this machine’s, so its root is root here'
      ).argParser(oneOf('auto', 'no'))
    )
    .addOption(
      new Option('--id-mapping <how>', 'auto; served: as where the kernel cannot map ids')
        .argParser(oneOf('auto', 'served'))
        .hideHelp()
    )
    .option(
      '--privileged',
      'turn isolation off: all capabilities, all devices, this machine’s user ids, no system call filter'
    )
    .option('--nspawn-arg <argument>', 'pass an argument to systemd-nspawn (repeatable)', collect)
    .addOption(
      new Option('--mount <mode>', 'how to mount the image: auto, erofs or fuse')
        .argParser(oneOf('auto', 'erofs', 'fuse'))
        .default('auto')
    )
    .option(
      '--follow',
      'with --ephemeral or --rm: stop, and start again whenever the channel names another image or version'
    )
    .option('--lazy-only', 'fetch only what is read; do not fill in the rest')
    .option(...REUSE_OPTION)
    .option('--record', 'record what it reads, and fetch that first next time')
    .option('--offline', 'use only local data, no network')
    .addOption(
      new Option('--on-peer-loss <policy>', 'what reads do when no peer is left: wait or fail')
        .argParser(oneOf('wait', 'fail'))
        .default('wait')
    )
    .addOption(peerTimeoutOption())
    .addHelpText(
      'after',
      "\nExamples:\n  dat-container boot 'dat://KEY#SECRET' -n web -d --wait ready --wait-timeout 2m\n" +
        "  dat-container boot 'dat://KEY#SECRET' --ephemeral -- sh -c 'uname -a'\n" +
        "  dat-container boot 'dat-channel://KEY#SECRET' --follow --rm -d -n web -v /srv/web:/srv\n" +
        '\nOn a terminal, your input goes to the console of the init. Ctrl-C stops the container; Ctrl-] three\n' +
        'times within a second kills it. -d runs it in the background.\n' +
        '\nA container has its own user ids: its root has no rights on this machine, and with --network host it\n' +
        'cannot bind ports below 1024. With --private-users no, a program that breaks out is root here. With\n' +
        '--privileged nothing confines the container: it can read and write every disk. Use both only for images\n' +
        'that you trust as much as this machine’s root. They apply for the whole life of a container.'
    )
    .action(async (image: ImageReference, argv: string[], flags: BootFlags, command: Command) => {
      await boot(image, argv, flags, readGlobals(command))
    })
}

async function boot(
  image: ImageReference,
  argv: readonly string[],
  flags: BootFlags,
  globals: Globals
): Promise<void> {
  if (flags.publish !== undefined) {
    throw new ContainerError('USAGE', 'port publishing works only in virtual machines so far', {
      hint: 'add --vm; without it, a container has the host’s network and its ports'
    })
  }
  const followed = flags.follow === true ? await followedImage(image, flags, globals) : undefined
  const container = {
    ...containerOptions(followed?.link ?? image, argv, flags, globals.home),
    ...(followed && { follow: followed.channel })
  }
  if (!flags.detach) {
    const { startMounterAhead } = await import('../../../boot/lease/mount-ahead.ts')
    const mounter = startMounterAhead(container)
    // Loaded while the mounter loads.
    const { runFollowed } = await import('../../../boot/runner/followed-run.ts')
    using seeking = new Seeking(globals.output, flags.peerTimeout, flags.offline)
    using stalls = new MountStalls(globals.output)
    const { exitCode } = await runFollowed({
      container,
      console: 'inherit',
      events: {
        onMounted: () => seeking.found(),
        onState: ({ mounterSocket }) => stalls.watch(mounterSocket),
        onNews: (news) => tellNews(globals.output, news, flags.offline),
        onRenewed: (next) =>
          globals.output.note(
            `the channel names ${next.toString()} now: the container is started again of it`
          ),
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

/**
 * Resolves the channel that a container is to follow.
 *
 * @throws ContainerError `USAGE` where that would lose files or needs no channel; everything that resolving a channel can say
 */
async function followedImage(
  image: ImageReference,
  flags: BootFlags,
  globals: Globals
): Promise<{ link: ImageReference; channel: string }> {
  const { channel } = image
  if (channel === undefined) {
    throw new ContainerError('USAGE', '--follow takes the link of a channel', {
      hint: 'a container stays on the version of an image that it was made from'
    })
  }
  if (flags.ephemeral !== true && flags.rm !== true) {
    throw new ContainerError('USAGE', '--follow requires --ephemeral or --rm', {
      hint: 'what a container writes cannot move to another image: keep data in a directory of this machine (-v)'
    })
  }
  if (flags.offline === true || flags.record === true) {
    throw new ContainerError('USAGE', '--follow excludes --offline and --record')
  }
  return { link: await resolveChannel(channel, flags, globals), channel }
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
  return `recorded ${chunks.length} chunks${when}: they will be fetched first next time`
}
