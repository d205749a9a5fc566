import type { ImageReference } from '../../p2p/link.ts'
import { basename, resolve } from 'node:path'
import { Option, type Command } from 'commander'
import { ContainerError } from '../../core/errors.ts'
import { imageNameFrom } from '../../image/format/image-name.ts'
import type { PublishSourceOptions } from '../../session/publish/publish-source.ts'
import { collect, durationOption } from '../parse/arguments.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { interruptible } from '../print/interrupt.ts'
import { publishPlain, publishRecorded } from './share-steps.ts'

interface ShareFlags {
  readonly name?: string
  readonly update?: ImageReference
  readonly description?: string
  readonly message?: string
  readonly exclude?: string[]
  readonly oneFileSystem?: boolean
  readonly checksum?: boolean
  readonly as?: 'tar' | 'files'
  readonly ignoreZeros?: boolean
  readonly platform?: string
  readonly authfile?: string
  readonly insecureRegistry?: boolean
  readonly profile?: boolean
  readonly profileFor?: number
  readonly quiet?: boolean
}

export function addShare(program: Command): void {
  program
    .command('share')
    .description('publish a root filesystem as an encrypted image and seed it')
    .argument(
      '<source>',
      'a directory, a tar archive or - for stdin; an OCI layout or archive, a docker-archive, or docker://NAME'
    )
    .argument(
      '[command...]',
      'with --profile, after --: the command to record instead of the image’s init'
    )
    .option(
      '-n, --name <name>',
      'name of the image (default: the name of the source, or of the updated image)'
    )
    .option('--description <text>', 'one line that describes the image')
    .option('--update <link|name>', 'publish a new version of this image')
    .option('-m, --message <text>', 'what changed in this version')
    .option(
      '--exclude <pattern>',
      'directories: leave out what matches, as in .containerignore (repeatable)',
      collect
    )
    .option('--one-file-system', 'directories: do not cross into other file systems')
    .option('--checksum', 'directories, with --update: also read files that seem unchanged')
    .addOption(
      new Option(
        '--as <kind>',
        'files: publish the files of a directory or archive that looks like a container image, not the image; tar: the same, but only for an archive'
      ).choices(['files', 'tar'])
    )
    .option(
      '--ignore-zeros',
      'archives: read on after the end of the first, if several were joined'
    )
    .option('--platform <os/arch>', 'container images: which platform to publish')
    .option('--authfile <file>', 'registries: file with credentials, as written by skopeo login')
    .option('--insecure-registry', 'registries: allow HTTP and unknown certificates')
    .option(
      '--profile',
      'start the image once, and publish what it reads so that readers fetch that first'
    )
    .addOption(
      durationOption(
        '--profile-for <duration>',
        'with --profile: how long to record: an init after it is ready (1s), a command from its start (10s)'
      )
    )
    .option('-q, --quiet', 'print only the link')
    .addHelpText('after', EXAMPLES)
    .action(async (source: string, argv: string[], flags: ShareFlags, command: Command) => {
      await share(source, argv, flags, readGlobals(command))
    })
}

const EXAMPLES = `
A file .containerignore in the directory lists what to leave out, one pattern per line as in .gitignore:
# starts a comment, /tmp/* matches below the root, *.log matches anywhere, ! reverses a pattern. --exclude
adds patterns after those of the file. Quote them, so that the shell does not expand them. A
pattern of --exclude that excludes nothing is reported.

Examples:
  dat-container share ./rootfs --name debian
  dat-container share ./rootfs --exclude '*.log' --exclude '/tmp/*'
  dat-container share ./rootfs --profile
  dat-container share ./rootfs --profile --profile-for 3s -- python3 app.py
  link=$(dat-container share -q ./rootfs)
  dat-container share debian.tar.xz
  dat-container share backup.tar --as files
  podman export web | dat-container share - --name web
  dat-container share docker://debian:12
  dat-container share docker://registry.lan:5000/app --platform linux/arm64 --authfile auth.json
  dat-container share oci:./layout:latest
  docker save app | dat-container share - --name app`

/** `debian` of `/images/debian.tar.xz` and of `docker://debian:12`. */
function nameOf(reference: string): string {
  const source = reference.replace(/^(?:docker|oci|oci-archive|docker-archive):(?:\/\/)?/, '')
  if (source !== reference) return nameOf(source.replace(/(?:@sha256)?:[^/]*$/, '') || '-')
  const name = source === '-' ? '' : basename(resolve(source))
  return imageNameFrom(name.replace(/(?:\.tar(?:\.\w+)?|\.t[gbxz]\w+)$/, ''), 'rootfs')
}

async function share(
  source: string,
  argv: readonly string[],
  flags: ShareFlags,
  globals: Globals
): Promise<void> {
  const { tellShared } = await import('./share-result.ts')
  const { isOciReference } = await import('../../image/oci/reference.ts')
  const { home } = globals
  if (source === '-' && process.stdin.isTTY) {
    throw new ContainerError('USAGE', 'refusing to read an archive from a terminal', {
      hint: 'pipe a tar archive in'
    })
  }
  if (flags.profile !== true && (argv.length > 0 || flags.profileFor !== undefined)) {
    throw new ContainerError('USAGE', 'COMMAND and --profile-for require --profile', {
      hint: 'to choose what an image runs, give the command to boot'
    })
  }
  const name = flags.name ?? (flags.update === undefined ? nameOf(source) : undefined)
  const notices: string[] = []
  const published = await interruptible(async (signal) => {
    const options: PublishSourceOptions = {
      home,
      path: source === '-' || isOciReference(source) ? source : resolve(source),
      signal,
      ...(name === undefined ? {} : { name }),
      ...(flags.description === undefined ? {} : { description: flags.description }),
      ...(flags.update === undefined ? {} : { update: flags.update }),
      ...(flags.message === undefined ? {} : { message: flags.message }),
      ...(flags.exclude === undefined ? {} : { exclude: flags.exclude }),
      ...(flags.as === undefined ? {} : { as: flags.as }),
      ...(flags.ignoreZeros === undefined ? {} : { ignoreZeros: flags.ignoreZeros }),
      onNotice: (notice) => notices.push(notice),
      ...(flags.platform === undefined ? {} : { platform: flags.platform }),
      ...(flags.authfile === undefined ? {} : { authfile: resolve(flags.authfile) }),
      ...(flags.insecureRegistry === undefined ? {} : { insecureRegistry: flags.insecureRegistry }),
      ...(flags.checksum === undefined ? {} : { checksum: flags.checksum }),
      ...(flags.oneFileSystem === undefined ? {} : { oneFileSystem: flags.oneFileSystem })
    }
    return flags.profile === true
      ? publishRecorded(options, argv, flags.profileFor, globals)
      : publishPlain(options, globals)
  })
  for (const notice of notices) globals.output.note(notice)
  await tellShared({ ...published, notices }, flags, globals)
}
