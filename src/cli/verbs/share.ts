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
  readonly update?: string
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
      'its directory, a tar archive of it or - for stdin; an OCI layout or archive, a docker-archive, docker://NAME'
    )
    .argument('[command...]', 'with --profile, after --: what is started to be recorded')
    .option('-n, --name <name>', 'name of the image (default: the source’s, or the one it has)')
    .option('--description <text>', 'one line about the image')
    .option('--update <link|name>', 'publish a new version of this image')
    .option('-m, --message <text>', 'what this version changes')
    .option(
      '--exclude <pattern>',
      'of a directory: leave out what matches, as in .containerignore (repeatable)',
      collect
    )
    .option('--one-file-system', 'of a directory: stay on its own file system')
    .option('--checksum', 'of a directory: with --update, read files that seem unchanged too')
    .addOption(
      new Option(
        '--as <kind>',
        'of a directory or an archive that looks like a container image: publish the files it holds; tar is the same, of an archive'
      ).choices(['files', 'tar'])
    )
    .option('--ignore-zeros', 'of an archive: read all of several that were joined')
    .option('--platform <os/arch>', 'of a container image: which of its platforms')
    .option('--authfile <file>', 'of a registry: credentials, as of skopeo login')
    .option('--insecure-registry', 'of a registry: allow HTTP and unknown certificates')
    .option('--profile', 'start it once, and publish what that reads first')
    .addOption(
      durationOption(
        '--profile-for <duration>',
        'with --profile: how long to record, from ready on (1s), or of a command (10s)'
      )
    )
    .option('-q, --quiet', 'print the link alone')
    .addHelpText('after', EXAMPLES)
    .action(async (source: string, argv: string[], flags: ShareFlags, command: Command) => {
      await share(source, argv, flags, readGlobals(command))
    })
}

const EXAMPLES = `
A file .containerignore in the directory says what is left out, one pattern a line as in .gitignore:
# begins a comment, /tmp/* is below the root, *.log is anywhere, ! takes a pattern back. --exclude takes the
same patterns, and adds them behind those of the file; quote them, so that the shell leaves them alone. One
that leaves nothing out is told of.

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
  const { isReference } = await import('../../image/oci/reference.ts')
  const { home } = globals
  if (source === '-' && process.stdin.isTTY) {
    throw new ContainerError('USAGE', 'stdin is a terminal, not an archive', {
      hint: 'pipe a tar archive in'
    })
  }
  if (flags.profile !== true && (argv.length > 0 || flags.profileFor !== undefined)) {
    throw new ContainerError('USAGE', 'a command and --profile-for are for --profile', {
      hint: 'what an image runs is told when it is booted'
    })
  }
  const name = flags.name ?? (flags.update === undefined ? nameOf(source) : undefined)
  const notices: string[] = []
  const published = await interruptible(async (signal) => {
    const options: PublishSourceOptions = {
      home,
      path: source === '-' || isReference(source) ? source : resolve(source),
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
