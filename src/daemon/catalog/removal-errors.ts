import { ContainerError } from '../../core/errors.ts'
import type { CatalogEntry } from './image-catalog.ts'

/** Makes the error for removing an image that a channel names, which is followed: it would be fetched again. */
export function namedBy(channel: string, { name }: CatalogEntry): ContainerError {
  return new ContainerError('BUSY', `the channel ${channel}, which is followed, names ${name}`, {
    hint: `end that first: dat-container channel unfollow ${channel}`
  })
}

/**
 * Makes the error for removing an image that this machine has published: it says what would be lost.
 *
 * @param copies how many connected peers have all of it
 */
export function lossOf(entry: CatalogEntry, copies: number): ContainerError {
  const content =
    copies === 0
      ? 'no connected peer has all of it, so it may be lost for good'
      : `its content remains on ${copies === 1 ? 'a peer that has' : `${copies} peers that have`} all of it`
  const message = `this machine published ${entry.name}: once it is gone, it has to come back from a peer before a new version can be published, and ${content}`
  return new ContainerError('BUSY', message, {
    hint: `to remove it anyway: dat-container unseed --force ${entry.name}`
  })
}
