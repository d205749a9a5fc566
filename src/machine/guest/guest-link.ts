import { DaemonClient } from '../../session/connection/client.ts'
import { openHome } from '../../home/home.ts'
import { METHODS, type ImageListing } from '../../rpc/protocol.ts'
import { imagesMeant } from '../../p2p/key-prefix.ts'
import { formatKey, formatLink, looksLikeLink, parseFullLink } from '../../p2p/link.ts'
import { HOST_AS_GUEST_SEES_IT } from '../state/command-line.ts'

/**
 * The link by which a guest opens an image. Where this machine's daemon has it, that is one of the
 * guest's peers: what is here crosses no other network.
 *
 * @param image a link, or a name; one that is not of this home is the guest's to know
 * @throws ContainerError `BAD_LINK`, what kept the daemon from starting
 */
export async function guestLink(home: string, image: string): Promise<string> {
  const paths = openHome(home)
  const isLink = looksLikeLink(image)
  // A link needs no daemon here; the images of this home do.
  using client = isLink
    ? await DaemonClient.connectRunning(paths)
    : await DaemonClient.connect(paths)
  if (!client) return image
  const images = await client.request(METHODS.images, null)
  const found = isLink ? named(images, image) : only(images, image)
  if (!found?.link) return image
  const { port } = await client.request(METHODS.listenForGuests, null)
  const link = parseFullLink(found.link)
  const version = isLink ? parseFullLink(image).version : versionOf(image)
  const here = { host: HOST_AS_GUEST_SEES_IT, port }
  return formatLink({ ...link, version, peers: [here, ...(link.peers ?? [])] })
}

/** The port of this machine's loopback that a guest's link leads to; undefined where it leads to none. */
export function daemonPortOf(link: string): number | undefined {
  if (!looksLikeLink(link)) return undefined
  return parseFullLink(link).peers?.find(({ host }) => host === HOST_AS_GUEST_SEES_IT)?.port
}

function named(images: readonly ImageListing[], link: string): ImageListing | undefined {
  const key = formatKey(parseFullLink(link).key)
  return images.find((image) => image.key === key && image.link !== null)
}

function only(images: readonly ImageListing[], text: string): ImageListing | undefined {
  const [name = ''] = text.split('@')
  const [first, second] = imagesMeant(images, name, (image) => image)
  return second === undefined ? first : undefined
}

function versionOf(text: string): number | undefined {
  const [, version] = text.split('@')
  return version !== undefined && /^\d{1,9}$/.test(version) ? Number(version) : undefined
}
