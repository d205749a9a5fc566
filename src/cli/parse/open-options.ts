import type { ImageReference } from '../../p2p/link.ts'
import type { Command } from 'commander'
import type { InspectedImage, OpenImageOptions } from '../../session/connection/image-session.ts'
import type { Globals } from './globals.ts'
import { tellNews } from '../print/image-news.ts'
import { Seeking, tellStalls } from '../print/seeking.ts'
import { peerTimeoutOption } from './peer-timeout.ts'

/** Flags of every verb that opens an image. */
export interface OpenFlags {
  readonly peerTimeout?: number
  readonly offline?: boolean
  readonly reuse?: boolean
}

/** Option of the verbs that fetch. */
export const REUSE_OPTION = [
  '--reuse',
  'copy chunks that other local images hold; seeders can see what you had'
] as const

export function addOpenOptions(command: Command): Command {
  return command
    .addOption(peerTimeoutOption())
    .option('--offline', 'use only local data, no network')
}

/**
 * Opens an image to look at it: reads fail after the peer time-out, and nothing is fetched that is
 * not asked for.
 */
export async function openToLook(
  link: ImageReference,
  flags: OpenFlags,
  globals: Globals,
  signal: AbortSignal
): Promise<InspectedImage> {
  const { openImage } = await import('../../session/open/open-image.ts')
  const options: OpenImageOptions = {
    home: globals.home,
    link,
    lazyOnly: true,
    onPeerLoss: 'fail',
    offline: flags.offline ?? false,
    reuse: flags.reuse ?? false,
    signal,
    ...(flags.peerTimeout === undefined ? {} : { peerTimeoutMs: flags.peerTimeout })
  }
  using _seeking = new Seeking(globals.output, flags.peerTimeout, flags.offline)
  const image = await openImage(options)
  tellNews(globals.output, image.news, options.offline)
  if (flags.offline !== true) tellStalls(globals.output, image, flags.peerTimeout)
  return image
}
