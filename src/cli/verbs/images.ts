import { ImageReference } from '../../p2p/link.ts'
import type { Command } from 'commander'
import type { ImageListing } from '../../rpc/protocol.ts'
import { checkImageName } from '../../image/format/image-name.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { printable } from '../print/output.ts'
import { eachOf } from '../print/each-of.ts'
import { interruptible } from '../print/interrupt.ts'
import { Seeking } from '../print/seeking.ts'
import { ContainerError } from '../../core/errors.ts'
import { entrust } from './entrust.ts'
import { followChannel } from './follow-channel.ts'
import { byteAmount } from '../parse/arguments.ts'
import { peerTimeoutOption } from '../parse/peer-timeout.ts'
import { fittedTable, table } from '../print/table.ts'

export function addImages(program: Command): void {
  program
    .command('images')
    .description('list the images on this machine')
    .option('-q, --quiet', 'print only keys')
    .option(
      '-v, --verbose',
      'also show how much each connected peer has, and when one was last seen'
    )
    .addHelpText(
      'after',
      '\nKEPT says what is fetched by itself: all of the newest version (follows) or of one (v2), what a mirror held when it\n' +
        'began (held), or a share (share). UP and DOWN count blocks since this machine knows the image.\n' +
        '\nExamples:\n  dat-container images --verbose\n  dat-container images --json'
    )
    .action(async (flags: ImagesFlags, command: Command) => {
      await images(flags, readGlobals(command))
    })
  program
    .command('unseed')
    .alias('rmi')
    .description('stop serving an image and free its blocks')
    .argument('<images...>', 'name, beginning of the key, link or mirror link of each image')
    .option('-f, --force', 'also remove an image that is in use or was published here')
    .addHelpText(
      'after',
      '\nIf you remove an image that was published here, its key is kept. Pull its link from a peer to publish new versions\n' +
        'again. If no peer has the image, it is lost. Containers and mounts of a removed image wait for peers.\n' +
        '\nExample:\n  dat-container unseed debian'
    )
    .action(async (names: ImageReference[], flags: { force?: boolean }, command: Command) => {
      await unseed(names, flags.force ?? false, readGlobals(command))
    })
  program
    .command('mirror')
    .description('keep a copy of an image available without being able to read it')
    .argument('<mirror-link>', 'a link; a secret in it is ignored')
    .option('-n, --name <name>', 'local name for it')
    .option('--hold', 'keep what there is now, and do not follow new versions')
    .option(
      '--quota <size>',
      'keep a share of at most this size: the blocks that the fewest other peers have',
      byteAmount
    )
    .option(
      '--on <key,…>',
      'ask the blind peers with these public keys to keep an image of this machine; none: no longer'
    )
    .option('--follow', 'keep what a channel names, now and whenever it names another image')
    .option('--wait', 'return when the copy is complete')
    .addOption(peerTimeoutOption())
    .addHelpText(
      'after',
      '\nA mirror follows new versions. Several mirrors with a quota share an image: together they hold all of it if their quotas\n' +
        'add up to more than its size. Each call sets --hold and --quota anew.\n' +
        '\nWith --follow, the image that a channel names takes the place of the one before, which is removed when the new one is\n' +
        'complete. `channel unfollow` ends that.\n' +
        '\nWith --on, this machine keeps nothing more: it asks others, which run the package blind-peer. One announces the image to\n' +
        'readers if it trusts the key that `identity` prints.\n' +
        "\nExamples:\n  dat-container mirror 'dat://KEY'\n  dat-container mirror 'dat://KEY' --quota 2G\n" +
        "  dat-container mirror --follow 'dat-channel://KEY'\n  dat-container mirror --on BLINDPEERKEY debian"
    )
    .action(async (link: ImageReference, flags: MirrorFlags, command: Command) => {
      if (flags.name !== undefined) checkImageName(flags.name)
      if (flags.hold === true && flags.quota !== undefined) {
        throw new ContainerError('USAGE', '--hold and --quota exclude each other')
      }
      if (flags.on !== undefined) {
        await entrust(link, flags.on, readGlobals(command))
        return
      }
      if (flags.follow === true) {
        if (flags.hold === true || flags.name !== undefined) {
          throw new ContainerError('USAGE', '--follow excludes --hold and --name')
        }
        await followChannel(link, 'mirror', flags, readGlobals(command))
        return
      }
      await mirror(link, flags, readGlobals(command))
    })
}

interface MirrorFlags {
  readonly name?: string
  readonly hold?: boolean
  readonly quota?: number
  readonly on?: string
  readonly follow?: boolean
  readonly wait?: boolean
  readonly peerTimeout: number
}

interface ImagesFlags {
  readonly links?: boolean
  readonly quiet?: boolean
  readonly verbose?: boolean
}

async function images(
  { links = false, quiet = false, verbose = false }: ImagesFlags,
  globals: Globals
): Promise<void> {
  const { default: prettyBytes } = await import('pretty-bytes')
  const { METHODS } = await import('../../rpc/protocol.ts')
  using client = await connect(globals)
  const list = await client.request(METHODS.images, { settles: true })
  const listed = (rows: string[][]): string[] => (links ? table(rows) : fittedTable(rows))
  globals.output.result(list, () => {
    if (quiet) return list.map(({ key }) => key)
    const columns = ['NAME', 'ROLE', 'VERSION', 'HELD', 'KEPT', 'STORED', 'UP', 'DOWN', 'PEERS']
    const lines = listed([
      [...columns, links ? 'LINK' : 'KEY'],
      ...list.map((image) => [
        printable(image.name),
        image.role,
        image.version === null ? '-' : String(image.version),
        `${image.blocksHeld}/${image.blocksKnown}`,
        keptText(image),
        prettyBytes(image.storedBytes),
        prettyBytes(image.uploadedBytes),
        prettyBytes(image.downloadedBytes),
        String(image.peers),
        links ? (image.link ?? image.mirrorLink) : image.key
      ])
    ])
    return verbose ? [...lines, ...list.flatMap((image) => ['', ...peersText(image)])] : lines
  })
}

function keptText({ kept, pinned }: ImageListing): string {
  const what = typeof kept === 'number' ? `v${kept}` : kept
  return (
    [what, pinned && 'pinned'].filter((word) => word !== null && word !== false).join(',') || '-'
  )
}

function peersText({ name, complete, copies, lastSeen, blocksKnown }: ImageListing): string[] {
  const here = complete ? 'all that is to be kept is here' : 'not all is here'
  const seen = copies.length > 0 ? `${copies.length} connected` : `last seen ${lastSeen ?? 'never'}`
  return [
    `${printable(name)}: ${here}; peers: ${seen}`,
    ...copies.map(
      (copy) =>
        `  ${copy.peer}  ${copy.complete ? 'complete' : `${copy.blocksHeld}/${blocksKnown}`}`
    )
  ]
}

async function unseed(
  names: readonly ImageReference[],
  force: boolean,
  globals: Globals
): Promise<void> {
  const { METHODS } = await import('../../rpc/protocol.ts')
  using client = await connect(globals)
  if (!force) {
    const images = await client.request(METHODS.images, null)
    for (const image of names) await requireUnused(image, images, globals)
  }
  const [only, ...more] = await eachOf(names, globals.output, (image) =>
    client.request(METHODS.forget, { image, force })
  )
  if (only === undefined) return
  globals.output.result(names.length === 1 ? only : [only, ...more], () =>
    [only, ...more].map(({ name, role, forked }) => {
      const loss =
        role === 'owner' && !forked
          ? '; to publish it again, pull its link while a peer has it'
          : ''
      return `${printable(name)} is no longer on this machine${loss}`
    })
  )
}

/** @throws ContainerError `BUSY` when containers or mounts of this home stand on it */
async function requireUnused(
  image: ImageReference,
  images: readonly ImageListing[],
  { home }: Globals
): Promise<void> {
  const { describeUsers, imageUsers } = await import('../../boot/containers/image-users.ts')
  const { formatKey } = await import('../../p2p/link.ts')
  const { imagesMeant } = await import('../../p2p/key-prefix.ts')
  const key = image.link && formatKey(image.link.key)
  const [found] = key
    ? images.filter((one) => one.key === key)
    : imagesMeant(images, image.toString(), (one) => one)
  // What there is not, the daemon says.
  if (!found) return
  const used = describeUsers(await imageUsers(home, found.key))
  if (used === '') return
  throw new ContainerError('BUSY', `image ${found.name} is used by ${used}`, {
    hint: 'remove those first (dat-container rm, umount); with --force, what they still have to read must come from peers'
  })
}

async function mirror(link: ImageReference, flags: MirrorFlags, globals: Globals): Promise<void> {
  const { METHODS } = await import('../../rpc/protocol.ts')
  const { untilKept } = await import('../print/until-kept.ts')
  using client = await connect(globals)
  await interruptible(async (signal) => {
    const { name, hold, quota, peerTimeout } = flags
    const seeking = new Seeking(globals.output, peerTimeout, false)
    const begun = await client
      .request(METHODS.mirror, {
        // The daemon is not to know the secret, not even for a moment.
        link: withoutSecret(link),
        peerTimeoutMs: peerTimeout,
        ...(name !== undefined && { name }),
        ...(hold !== undefined && { hold }),
        ...(quota !== undefined && { quota })
      })
      .finally(() => seeking.found())
    const state = flags.wait
      ? await untilKept(client, begun, 'mirroring', globals.output.json, signal)
      : begun
    const gone = state.peers > 0 ? state.blocksKnown - state.blocksOffered : 0
    globals.output.result(state, () => [
      `mirroring ${state.key}: ${state.blocksHeld} of ${state.blocksKnown} blocks here`,
      ...(gone > 0
        ? [`no connected peer has ${gone} of them: old versions may have been freed`]
        : [])
    ])
  })
}

function withoutSecret(image: ImageReference): ImageReference {
  return image.link ? ImageReference.to({ ...image.link, secret: undefined }) : image
}

async function connect(globals: Globals) {
  const { DaemonClient } = await import('../../session/connection/client.ts')
  const { openHome } = await import('../../home/home.ts')
  return DaemonClient.connect(openHome(globals.home))
}
