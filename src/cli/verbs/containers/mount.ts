import type { ImageReference } from '../../../p2p/link.ts'
import { resolve } from 'node:path'
import { InvalidArgumentError, Option, type Command } from 'commander'
import type { BindPowers } from '../../../boot/lease/mounter-protocol.ts'
import { oneOf } from '../../parse/arguments.ts'
import { readGlobals, type Globals } from '../../parse/globals.ts'
import { interruptible } from '../../print/interrupt.ts'
import { Seeking } from '../../print/seeking.ts'
import { addOpenOptions, REUSE_OPTION, type OpenFlags } from '../../parse/open-options.ts'

interface MountFlags extends OpenFlags {
  readonly mount: 'auto' | 'erofs' | 'fuse'
  readonly lazyOnly?: boolean
  readonly onPeerLoss: 'wait' | 'fail'
  readonly options?: BindPowers
}

/** Options of mount(8) that mean something for an image; the later one of two that contradict counts. */
const MOUNT_OPTIONS: Readonly<Record<string, BindPowers>> = {
  ro: {},
  suid: { suid: true },
  nosuid: { suid: false },
  dev: { dev: true },
  nodev: { dev: false }
}

export function addMount(program: Command): void {
  addOpenOptions(
    program
      .command('mount')
      .description('mount an image read-only at a directory')
      .argument('<image>', 'a link, or the name of an image that is on this machine')
      .argument('<directory>', 'an empty directory')
      .addOption(
        new Option('--mount <mode>', 'auto, erofs or fuse')
          .argParser(oneOf('auto', 'erofs', 'fuse'))
          .default('auto')
      )
      .option(
        '-o, --options <list>',
        'suid, nosuid, dev or nodev, comma-separated: whether its setuid programs and device nodes work for every user here',
        mountOptions
      )
      .option('--lazy-only', 'fetch only what is read; do not fill in the rest')
      .addOption(
        new Option('--on-peer-loss <policy>', 'what reads do when no peer is left: wait or fail')
          .argParser(oneOf('wait', 'fail'))
          .default('wait')
      )
      .option(...REUSE_OPTION)
  )
    .addHelpText(
      'after',
      '\nThe default is ro,nosuid,nodev. Use -o suid,dev only for images that you trust as much as packages\n' +
        "that you install.\n\nExample:\n  dat-container mount 'dat://KEY#SECRET' /mnt"
    )
    .action(
      async (link: ImageReference, directory: string, flags: MountFlags, command: Command) => {
        await mount(link, directory, flags, readGlobals(command))
      }
    )
  program
    .command('umount')
    .description('unmount an image')
    .argument('<directory>', 'where an image is mounted')
    .addHelpText('after', '\nExample:\n  dat-container umount /mnt')
    .action(async (directory: string, _flags: object, command: Command) => {
      const { home, output } = readGlobals(command)
      const { unmountImageAt } = await import('../../../boot/containers/image-mounts.ts')
      await unmountImageAt(home, directory)
      output.result({ unmounted: resolve(directory) }, () => [])
    })
}

async function mount(
  link: ImageReference,
  directory: string,
  flags: MountFlags,
  { home, output }: Globals
): Promise<void> {
  const { mountImageAt } = await import('../../../boot/containers/image-mounts.ts')
  await interruptible(async (signal) => {
    using _seeking = new Seeking(output, flags.peerTimeout, flags.offline)
    const mounted = await mountImageAt({
      home,
      link,
      directory,
      mode: flags.mount,
      lazyOnly: flags.lazyOnly ?? false,
      offline: flags.offline ?? false,
      reuse: flags.reuse ?? false,
      onPeerLoss: flags.onPeerLoss,
      signal,
      ...(flags.options === undefined ? {} : { powers: flags.options }),
      ...(flags.peerTimeout === undefined ? {} : { peerTimeoutMs: flags.peerTimeout })
    })
    const { key, version, mode, image } = mounted
    const result = { directory: mounted.directory, image, key, version, mountMode: mode }
    output.result(result, () => [`${image}@${version} is at ${mounted.directory} (${mode})`])
  })
}

/** Reads the list that `-o` takes, as mount(8) does; several add up. */
function mountOptions(list: string, before: BindPowers | undefined): BindPowers {
  return list.split(',').reduce<BindPowers>((powers, word) => {
    const meant = MOUNT_OPTIONS[word]
    if (meant === undefined) {
      throw new InvalidArgumentError(`give some of ${Object.keys(MOUNT_OPTIONS).join(', ')}.`)
    }
    return { ...powers, ...meant }
  }, before ?? {})
}
