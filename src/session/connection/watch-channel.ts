import { pause, untilAborted } from '../../core/abort.ts'
import { isContainerError } from '../../core/errors.ts'
import { openHome } from '../../home/home.ts'
import { ImageReference } from '../../p2p/link.ts'
import { METHODS } from '../../rpc/protocol.ts'
import { DaemonClient } from './client.ts'

/** How often a daemon that is gone is looked for. */
const RETRY_MS = 2_000

export interface WatchChannelOptions {
  readonly home: string
  /** A channel's link, or the name or key that the home knows it by. */
  readonly channel: string
  /** What it named last. */
  readonly image: ImageReference
  readonly signal: AbortSignal
}

/**
 * Waits until a channel names something else, however long that takes and however often the daemon is replaced.
 *
 * @throws ContainerError where the channel is not known any more; the signal's reason
 */
export async function watchChannel({
  home,
  channel,
  image,
  signal
}: WatchChannelOptions): Promise<ImageReference> {
  const paths = openHome(home)
  for (;;) {
    signal.throwIfAborted()
    const client = await DaemonClient.reconnect(paths)
    if (client instanceof DaemonClient) {
      using _open = client
      try {
        const request = { channel, image: image.toString() }
        const named = await untilAborted(client.request(METHODS.channelWatch, request), signal)
        return ImageReference.parse(named.image)
      } catch (error) {
        signal.throwIfAborted()
        if (!isContainerError(error, 'DAEMON_UNREACHABLE')) throw error
      }
    }
    await pause(RETRY_MS, signal)
  }
}
