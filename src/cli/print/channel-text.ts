import type { ChannelResolveResponse } from '../../rpc/channel-protocol.ts'
import type { Output } from './output.ts'

/**
 * Says on standard error what a channel names now.
 *
 * @param offline whether nobody was to be asked
 */
export function tellChannel(
  output: Output,
  channel: ChannelResolveResponse,
  offline: boolean
): void {
  const { name, image, record, setAt, mayBeOld, forked } = channel
  const when = setAt === null ? '' : `, set ${setAt}`
  output.note(`channel ${name} names ${image} (record ${record}${when})`)
  if (mayBeOld && !offline) {
    output.note(
      `no peer with this channel answers: record ${record} is the newest one known here, and may be outdated`
    )
  }
  if (forked) {
    output.note(
      'this channel has two histories: its owner lost records and set others in their place; this machine keeps those that it has'
    )
  }
}
