import type { Command } from 'commander'
import { withoutSecrets } from '../../core/safe-text.ts'
import { ImageReference } from '../../p2p/link.ts'
import type { ChannelResolveResponse } from '../../rpc/channel-protocol.ts'
import { interruptible } from '../print/interrupt.ts'
import { tellChannel } from '../print/channel-text.ts'
import { Seeking } from '../print/seeking.ts'
import { readGlobals, type Globals } from './globals.ts'
import { CHANNEL_ARGUMENT } from './link-argument.ts'
import { DEFAULT_PEER_TIMEOUT_MS } from './peer-timeout.ts'

interface ResolvingFlags {
  /** The verb takes the channel itself. */
  readonly follow?: boolean
  readonly offline?: boolean
  readonly peerTimeout?: number
  readonly update?: ImageReference
}

/**
 * Replaces each channel among the images that a verb is given by the image that the channel names now, before the verb is
 * carried out, and says so. After the hook that parses them.
 */
export function hookChannels(program: Command): void {
  program.hook('preAction', async (_program, command) => {
    const flags = command.opts<ResolvingFlags>()
    const resolve = async (image: unknown): Promise<unknown> =>
      image instanceof ImageReference && image.channel !== undefined
        ? await resolveChannel(channelOf(image, command), flags, readGlobals(command))
        : image
    for (const [n, argument] of command.registeredArguments.entries()) {
      // What is done to the channel itself.
      if (argument.name() === CHANNEL_ARGUMENT || flags.follow === true) continue
      const given: unknown = command.processedArgs[n]
      if (!Array.isArray(given)) command.processedArgs[n] = await resolve(given)
      else for (const [k, each] of given.entries()) given[k] = await resolve(each)
    }
    if (flags.update !== undefined) command.setOptionValue('update', await resolve(flags.update))
  })
}

/** The daemon of a mirror is not to know the secret, not even for a moment. */
function channelOf({ channel = '' }: ImageReference, command: Command): string {
  return command.name() === 'mirror' ? withoutSecrets(channel) : channel
}

/**
 * Finds what a channel names now, and says so.
 *
 * @throws ContainerError everything that resolving a channel can say
 */
export async function resolveChannel(
  channel: string,
  flags: ResolvingFlags,
  globals: Globals
): Promise<ImageReference> {
  const found = await askChannel(channel, flags, globals)
  tellChannel(globals.output, found, flags.offline === true)
  return ImageReference.parse(found.image)
}

/**
 * Asks the daemon what a channel names now, and says so if that takes long.
 *
 * @param channel its link, or the name or key that this home knows it by
 * @throws ContainerError everything that resolving a channel can say
 */
export async function askChannel(
  channel: string,
  {
    offline = false,
    acceptRollback = false,
    peerTimeout = DEFAULT_PEER_TIMEOUT_MS
  }: Pick<ResolvingFlags, 'offline' | 'peerTimeout'> & { readonly acceptRollback?: boolean },
  { home, output }: Globals
): Promise<ChannelResolveResponse> {
  const { DaemonClient } = await import('../../session/connection/client.ts')
  const { openHome } = await import('../../home/home.ts')
  const { METHODS } = await import('../../rpc/protocol.ts')
  const { untilAborted } = await import('../../core/abort.ts')
  using client = await DaemonClient.connect(openHome(home))
  using _seeking = new Seeking(output, peerTimeout, offline, 'this channel')
  const request = { channel, peerTimeoutMs: peerTimeout, offline, acceptRollback }
  return await interruptible((signal) =>
    untilAborted(client.request(METHODS.channelResolve, request), signal)
  )
}
