import type { Command } from 'commander'
import { ContainerError } from '../../core/errors.ts'
import type { ImageReference } from '../../p2p/link.ts'
import type { ChannelListing } from '../../rpc/channel-protocol.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { peerTimeoutOption } from '../parse/peer-timeout.ts'
import { askChannel } from '../parse/resolve-channels.ts'
import { tellChannel } from '../print/channel-text.ts'
import { printable } from '../print/output.ts'
import { fittedTable, table } from '../print/table.ts'

/** What image names may have, too; no colon, slash or number sign, which links have. */
const CHANNEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

export function addChannel(program: Command): void {
  const channel = program
    .command('channel')
    .description('links that name another image whenever their owner wants')
    .addHelpText(
      'after',
      '\nThe link of a channel stands wherever the link of an image does. It stays the same when its owner has it name another\n' +
        'image. `mirror --follow` and `seed --follow` keep whatever it names, `boot --follow` runs it.\n' +
        '\nExamples:\n  dat-container channel create stable debian\n  dat-container channel set stable debian@3\n' +
        "  dat-container boot 'dat-channel://KEY#SECRET'"
    )
  addOwnersVerbs(channel)
  channel
    .command('show')
    .alias('info')
    .description('find out what a channel names now')
    .argument('<channel>', 'its link, or the name or key that this machine knows it by')
    .option(
      '--accept-rollback',
      'take what is older than what this machine has seen of the channel'
    )
    .option('--links', 'print full links, with the secrets that can read images')
    .addOption(peerTimeoutOption())
    .option('--offline', 'use only local data, no network')
    .addHelpText('after', "\nExample:\n  dat-container channel show 'dat-channel://KEY#SECRET'")
    .action(async (reference: ImageReference, flags: ShowFlags, command: Command) => {
      await show(reference, flags, readGlobals(command))
    })
  channel
    .command('ls')
    .description('list the channels that this machine knows')
    .option('--links', 'print full links, with the secrets that can read images')
    .addHelpText('after', '\nExample:\n  dat-container channel ls --links')
    .action(async (_flags: object, command: Command) => list(readGlobals(command)))
  channel
    .command('unfollow')
    .description('no longer keep what a channel names; what it names now stays')
    .argument('<channel>', 'its link, or the name or key that this machine knows it by')
    .addHelpText('after', '\nExample:\n  dat-container channel unfollow stable')
    .action(async (reference: ImageReference, _flags: object, command: Command) => {
      await unfollow(reference, readGlobals(command))
    })
  channel
    .command('rm')
    .description('forget a channel; what it names stays')
    .argument('<channel>', 'its link, or the name or key that this machine knows it by')
    .option('-f, --force', 'also one that this machine owns: nobody can ever set it again')
    .addHelpText('after', '\nExample:\n  dat-container channel rm stable')
    .action(async (reference: ImageReference, flags: { force?: boolean }, command: Command) => {
      await remove(reference, flags.force ?? false, readGlobals(command))
    })
}

function addOwnersVerbs(channel: Command): void {
  channel
    .command('create')
    .description('make a channel that this machine sets, and print its link')
    .argument('<new-name>', 'name by which this machine knows it; nobody else sees it')
    .argument('[image]', 'what it names at first: a link, or the name of an image on this machine')
    .addHelpText(
      'after',
      '\nIts link without the part after # is for mirrors: it tells which image the channel names, and not how to read it.\n' +
        '\nExample:\n  dat-container channel create stable debian@2'
    )
    .action(async (name: string, image: ImageReference | undefined, _flags, command: Command) => {
      await create(name, image, readGlobals(command))
    })
  channel
    .command('set')
    .description('have a channel name another image, or another version')
    .argument('<channel>', 'name, key or link of a channel that this machine owns')
    .argument('<image>', 'a link, or the name of an image that is on this machine')
    .option('--allow-rollback', 'also to an older version of an image that it named before')
    .option('--links', 'print full links, with the secrets that can read images')
    .addHelpText(
      'after',
      '\nIMAGE@N names version N; without it, the newest one, whichever that is. Readers see the change as soon as they ask,\n' +
        'Readers refuse to go back to an older version, unless they are told to.\n' +
        '\nExamples:\n  dat-container channel set stable debian@3\n' +
        "  dat-container channel set stable 'dat://KEY#SECRET'"
    )
    .action(
      async (
        reference: ImageReference,
        image: ImageReference,
        flags: { allowRollback?: boolean },
        command: Command
      ) => {
        await set(reference, image, flags.allowRollback ?? false, readGlobals(command))
      }
    )
}

interface ShowFlags {
  readonly acceptRollback?: boolean
  readonly offline?: boolean
  readonly peerTimeout: number
}

async function create(
  name: string,
  image: ImageReference | undefined,
  globals: Globals
): Promise<void> {
  if (!CHANNEL_NAME.test(name)) {
    throw new ContainerError('USAGE', `not a name for a channel: ${JSON.stringify(name)}`, {
      hint: 'use up to 128 letters, digits, dots, dashes and underscores'
    })
  }
  const { METHODS } = await import('../../rpc/protocol.ts')
  using client = await connect(globals)
  const created = await client.request(METHODS.channelCreate, { name })
  const made =
    image === undefined
      ? created
      : await client.request(METHODS.channelSet, { channel: name, image, allowRollback: false })
  globals.output.result(made, () => [
    `channel  ${made.link}`,
    `mirrors  ${made.mirrorLink}`,
    made.image === null
      ? `it names nothing yet: dat-container channel set ${name} IMAGE`
      : `it names ${mirrorText(made.image)}`
  ])
}

async function set(
  reference: ImageReference,
  image: ImageReference,
  allowRollback: boolean,
  globals: Globals
): Promise<void> {
  const { METHODS } = await import('../../rpc/protocol.ts')
  using client = await connect(globals)
  const request = { channel: reference.toString(), image, allowRollback }
  const now = await client.request(METHODS.channelSet, request)
  globals.output.result(now, () => [
    `channel ${printable(now.name)} names ${now.image} (record ${now.record})`
  ])
}

async function show(reference: ImageReference, flags: ShowFlags, globals: Globals): Promise<void> {
  const found = await askChannel(reference.toString(), flags, globals)
  globals.output.result(found, () => [
    `channel  ${found.link ?? found.mirrorLink}`,
    `names    ${found.image}`,
    `record   ${found.record}${found.setAt === null ? '' : `, set ${found.setAt}`}`,
    `role     ${found.role}${found.follows === null ? '' : `, followed by ${found.follows}`}`
  ])
  if (found.mayBeOld || found.forked) tellChannel(globals.output, found, flags.offline === true)
}

async function list(globals: Globals): Promise<void> {
  const { METHODS } = await import('../../rpc/protocol.ts')
  using client = await connect(globals)
  const channels = await client.request(METHODS.channels, null)
  const listed = globals.links ? table : fittedTable
  globals.output.result(channels, () =>
    listed([
      ['NAME', 'ROLE', 'RECORD', 'FOLLOWS', 'PEERS', 'IMAGE', globals.links ? 'LINK' : 'KEY'],
      ...channels.map((channel) => [
        printable(channel.name),
        channel.role,
        String(channel.record),
        channel.follows ?? '-',
        String(channel.peers),
        imageText(channel, globals),
        globals.links ? (channel.link ?? channel.mirrorLink) : channel.key
      ])
    ])
  )
}

function imageText({ image }: ChannelListing, { links }: Globals): string {
  if (image === null) return '-'
  return links ? image : mirrorText(image).replace(/^dat:\/\//, '')
}

async function remove(reference: ImageReference, force: boolean, globals: Globals): Promise<void> {
  const { METHODS } = await import('../../rpc/protocol.ts')
  using client = await connect(globals)
  const request = { channel: reference.toString(), force }
  const gone = await client.request(METHODS.channelForget, request)
  globals.output.result(gone, () => [`channel ${printable(gone.name)} is forgotten`])
}

async function unfollow(reference: ImageReference, globals: Globals): Promise<void> {
  const { METHODS } = await import('../../rpc/protocol.ts')
  using client = await connect(globals)
  const channel = await client.request(METHODS.channelUnfollow, { channel: reference.toString() })
  globals.output.result(channel, () => [
    `channel ${printable(channel.name)} is no longer followed; what is here stays until it is unseeded`
  ])
}

/** A link without its secret and its peers. */
function mirrorText(link: string): string {
  return link.replace(/[#?].*$/s, '')
}

async function connect(globals: Globals) {
  const { DaemonClient } = await import('../../session/connection/client.ts')
  const { openHome } = await import('../../home/home.ts')
  return DaemonClient.connect(openHome(globals.home))
}
