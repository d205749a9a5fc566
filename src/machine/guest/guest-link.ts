import { DaemonClient } from '../../session/connection/client.ts'
import { openHome } from '../../home/home.ts'
import { METHODS, type ImageListing } from '../../rpc/protocol.ts'
import { imagesMeant } from '../../p2p/key-prefix.ts'
import { formatKey, ImageReference, parseFullLink, type Link } from '../../p2p/link.ts'
import { HOST_AS_GUEST_SEES_IT } from '../state/command-line.ts'

/**
 * Makes the link by which a guest opens an image. If this machine's daemon has the image, the link names the
 * daemon as a peer, so local blocks cross no other network.
 *
 * @param image a name that this home does not know is left for the guest to resolve
 * @throws ContainerError `BAD_LINK`, what kept the daemon from starting
 */
export async function guestLink(home: string, image: ImageReference): Promise<ImageReference> {
  const paths = openHome(home)
  const asked = image.fullLink
  // A link needs no daemon here; the images of this home do.
  using client = asked
    ? await DaemonClient.connectRunning(paths)
    : await DaemonClient.connect(paths)
  if (!client) return image
  const images = await client.request(METHODS.images, null)
  const found = asked ? named(images, asked) : only(images, image.name)
  if (!found?.link) return image
  const { port } = await client.request(METHODS.listenForGuests, null)
  const link = parseFullLink(found.link)
  const here = { host: HOST_AS_GUEST_SEES_IT, port }
  const peers = [here, ...(link.peers ?? [])]
  return ImageReference.to({ ...link, version: image.version, peers })
}

/**
 * Finds the port of this machine's loopback that a guest's link leads to.
 *
 * @returns undefined when it leads to none
 */
export function daemonPortOf({ link }: ImageReference): number | undefined {
  return link?.peers?.find(({ host }) => host === HOST_AS_GUEST_SEES_IT)?.port
}

function named(images: readonly ImageListing[], link: Link): ImageListing | undefined {
  const key = formatKey(link.key)
  return images.find((image) => image.key === key && image.link !== null)
}

function only(images: readonly ImageListing[], name: string): ImageListing | undefined {
  const [first, second] = imagesMeant(images, name, (image) => image)
  return second === undefined ? first : undefined
}
