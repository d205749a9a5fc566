import { guessBootOrder } from './boot-order.ts'
import type { BootProfile } from '../../image/format/boot-profile.ts'
import type { Manifest, StartCommand } from '../../image/format/manifest.ts'
import { chunksAtPlaces } from '../../image/format/profile-places.ts'
import type { Tree } from '../../image/tree/tree.ts'
import type { OpenImageOptions, StartOrder } from '../connection/image-session.ts'
import type { LocalProfile } from '../../home/local-profile.ts'

/** Describes what is to be run of an image in the terms of its manifest. */
export function startOf(
  { start }: Manifest,
  run: NonNullable<OpenImageOptions['run']>
): StartCommand {
  if (run === 'image') return start
  return run === 'boot' ? { mode: 'boot' } : { mode: 'process', argv: run }
}

/**
 * Chooses the best known order of a start: recorded by this home for the same version; recorded by the publisher;
 * recorded by this home for another version; guessed.
 */
export function chooseStartOrder(
  { tree, manifest }: { readonly tree: Tree; readonly manifest: Manifest },
  start: StartCommand,
  profile: BootProfile | undefined,
  local: LocalProfile | undefined
): StartOrder {
  if (local !== undefined && (profile === undefined || local.version === manifest.version)) {
    return { source: 'home', chunks: chunksAtPlaces(tree, local).chunks }
  }
  if (profile !== undefined) return { source: 'image', chunks: profile.chunks }
  return { source: 'guess', chunks: guessBootOrder(tree, start) }
}
