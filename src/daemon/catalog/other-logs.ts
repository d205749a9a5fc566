import { isContentOfAnother } from '../../p2p/store/purge.ts'
import type { PeerNode } from '../../p2p/peers/peer-node.ts'
import type { ChannelCatalog } from './channel-catalog.ts'
import type { ImageCatalog } from './image-catalog.ts'

export interface OtherLogsOptions {
  readonly catalog: ImageCatalog
  readonly node: PeerNode
  readonly channels: ChannelCatalog
}

/**
 * Whether a key, which somebody named as an image's, is that of another log of this home: the content of an image,
 * or a channel. Removing it as an image would empty that.
 */
export async function isOtherLog(
  key: Buffer,
  { catalog, node, channels }: OtherLogsOptions
): Promise<boolean> {
  if (channels.find(key.toString('hex')) !== undefined) return true
  const drives = catalog.list().map((entry) => Buffer.from(entry.key, 'hex'))
  return isContentOfAnother(node.store, key, drives)
}
