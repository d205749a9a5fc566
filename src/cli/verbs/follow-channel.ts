import { ContainerError } from '../../core/errors.ts'
import { given } from '../../core/given.ts'
import { withoutSecrets } from '../../core/safe-text.ts'
import type { ImageReference } from '../../p2p/link.ts'
import type { ImageListing } from '../../rpc/protocol.ts'
import type { DaemonClient } from '../../session/connection/client.ts'
import type { Globals } from '../parse/globals.ts'
import { interruptible } from '../print/interrupt.ts'
import { printable } from '../print/output.ts'
import { Seeking } from '../print/seeking.ts'

const LOOK_MS = 100

interface FollowFlags {
  readonly quota?: number
  readonly wait?: boolean
  readonly peerTimeout: number
}

/**
 * Has the daemon keep what a channel names, from now on.
 *
 * @throws ContainerError `USAGE` for the link of an image; everything that resolving a channel can say
 */
export async function followChannel(
  image: ImageReference,
  how: 'seed' | 'mirror',
  { quota, wait, peerTimeout }: FollowFlags,
  globals: Globals
): Promise<void> {
  if (image.link !== undefined) {
    throw new ContainerError(
      'USAGE',
      '--follow takes a channel, and this is the link of an image',
      {
        hint: 'without --follow, new versions of an image are followed, too'
      }
    )
  }
  const { METHODS } = await import('../../rpc/protocol.ts')
  const { DaemonClient } = await import('../../session/connection/client.ts')
  const { openHome } = await import('../../home/home.ts')
  const { untilKept } = await import('../print/until-kept.ts')
  const { untilAborted } = await import('../../core/abort.ts')
  using client = await DaemonClient.connect(openHome(globals.home))
  await interruptible(async (signal) => {
    // The daemon of a mirror is not to know the secret, not even for a moment.
    const text = image.toString()
    const channel = how === 'mirror' ? withoutSecrets(text) : text
    using _seeking = new Seeking(globals.output, peerTimeout, false, 'this channel')
    const request = { channel, how, peerTimeoutMs: peerTimeout, ...given({ quota }) }
    const followed = await untilAborted(client.request(METHODS.channelFollow, request), signal)
    if (wait === true) {
      const state = await listed(client, followed.imageKey, signal)
      const what = how === 'mirror' ? 'mirroring' : 'seeding'
      await untilKept(client, state, what, globals.output.json, signal)
    }
    globals.output.result(followed, () => [
      `following channel ${printable(followed.name)}, which names ${withoutSecrets(followed.image ?? '')} (record ${followed.record})`
    ])
  })
}

/** Waits until the daemon keeps an image. @param key z32 */
async function listed(
  client: DaemonClient,
  key: string,
  signal: AbortSignal
): Promise<ImageListing> {
  const { METHODS } = await import('../../rpc/protocol.ts')
  for (;;) {
    signal.throwIfAborted()
    const images = await client.request(METHODS.images, null)
    const found = images.find((image) => image.key === key && image.kept !== null)
    if (found) return found
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}
