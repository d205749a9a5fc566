import type { ImageNews } from '../../session/connection/image-session.ts'
import type { Output } from './output.ts'

/** Prints notices about an image on standard error. @param offline whether `--offline` was given */
export function tellNews(output: Output, news: ImageNews, offline: boolean | undefined): void {
  const { version, mayBeOld, forked } = news
  if (mayBeOld && offline !== true) {
    output.note(
      `no peer with this image answers: version ${version} is the newest one known here, and may be outdated`
    )
  }
  if (forked !== null) output.note(`this image has two histories: ${FORKS[forked]}`)
}

const FORKS = {
  owner:
    'peers have versions that this home has lost; it serves its own and cannot publish more of them: share it as a new image',
  reader:
    'its publisher lost versions and published others in their place; this machine keeps the versions that it has; ' +
    'to get the publisher’s: dat-container unseed the image, then pull its link'
} as const
