import type { ImageNews } from '../../session/connection/image-session.ts'
import type { Output } from './output.ts'

/** Tells on standard error what whoever uses an image should know of it. @param offline nobody was to be asked */
export function tellNews(output: Output, news: ImageNews, offline: boolean | undefined): void {
  const { version, mayBeOld, forked } = news
  if (mayBeOld && offline !== true) {
    output.note(
      `nobody who has this image answers: version ${version} is the newest known here, and may be old`
    )
  }
  if (forked !== null) output.note(`this image has two histories: ${FORKS[forked]}`)
}

const FORKS = {
  owner:
    'peers have versions that this home has lost; it serves its own, and can publish no more of it: share it as a new image',
  reader:
    'its publisher lost versions and published others in their place; this machine keeps those that it has; ' +
    'for the publisher’s: dat-container unseed it, then pull its link'
} as const
