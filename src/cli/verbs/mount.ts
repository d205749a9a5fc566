import { resolve } from 'node:path'
import { Option, type Command } from 'commander'
import { oneOf } from '../arguments.ts'
import { readGlobals, type Globals } from '../globals.ts'
import { interruptible } from '../interrupt.ts'
import { addOpenOptions, REUSE_OPTION, type OpenFlags } from './open-options.ts'

interface MountFlags extends OpenFlags {
  readonly mount: 'auto' | 'erofs' | 'fuse'
  readonly lazyOnly?: boolean
}

export function addMount(program: Command): void {
  addOpenOptions(
    program
      .command('mount')
      .description('show an image, read-only, at a directory of this machine')
      .argument('<image>', 'a link, or the name of an image that is on this machine')
      .argument('<directory>', 'an empty directory')
      .addOption(
        new Option('--mount <mode>', 'auto, erofs or fuse')
          .argParser(oneOf('auto', 'erofs', 'fuse'))
          .default('auto')
      )
      .option('--lazy-only', 'never fetch what is not touched')
      .option(...REUSE_OPTION)
  )
    .addHelpText('after', "\nExample:\n  dat-container mount 'dat://KEY#SECRET' /mnt")
    .action(async (link: string, directory: string, flags: MountFlags, command: Command) => {
      await mount(link, directory, flags, readGlobals(command))
    })
  program
    .command('umount')
    .description('undo `mount`')
    .argument('<directory>', 'where an image is mounted')
    .addHelpText('after', '\nExample:\n  dat-container umount /mnt')
    .action(async (directory: string, _flags: object, command: Command) => {
      const { home, output } = readGlobals(command)
      const { unmountImageAt } = await import('../../boot/image-mounts.ts')
      await unmountImageAt(home, directory)
      output.result({ unmounted: resolve(directory) }, () => [])
    })
}

async function mount(
  link: string,
  directory: string,
  flags: MountFlags,
  { home, output }: Globals
): Promise<void> {
  const { mountImageAt } = await import('../../boot/image-mounts.ts')
  await interruptible(async (signal) => {
    const mounted = await mountImageAt({
      home,
      link,
      directory,
      mode: flags.mount,
      lazyOnly: flags.lazyOnly ?? false,
      offline: flags.offline ?? false,
      reuse: flags.reuse ?? false,
      signal,
      ...(flags.peerTimeout === undefined ? {} : { peerTimeoutMs: flags.peerTimeout })
    })
    const { key, version, mode, image } = mounted
    const result = { directory: mounted.directory, image, key, version, mountMode: mode }
    output.result(result, () => [`${image}@${version} is at ${mounted.directory} (${mode})`])
  })
}
