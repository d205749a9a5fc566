import { containerNames } from '../state/container-record.ts'
import { summarize } from './container-summary.ts'
import { listImageMounts } from './image-mounts.ts'
import { bootPaths } from '../state/paths.ts'

/** The users of images in a home. */
export interface ImageUsers {
  readonly containers: readonly { readonly name: string; readonly isRunning: boolean }[]
  /** Directories at which images are shown. */
  readonly mounts: readonly string[]
}

/**
 * Lists the containers and mounts that use an image.
 *
 * @param key z32 drive key; undefined for all images
 */
export async function imageUsers(home: string, key?: string): Promise<ImageUsers> {
  const paths = bootPaths(home)
  const names = await containerNames(paths)
  const known = await Promise.all(names.map((name) => summarize(paths, name)))
  const mounts = await listImageMounts(home)
  const isOf = (used: { readonly key: string | null }): boolean =>
    key === undefined || used.key === key
  return {
    containers: known.flatMap((one) =>
      one !== undefined && isOf(one) ? [{ name: one.name, isRunning: one.leader !== null }] : []
    ),
    mounts: mounts.filter(isOf).map(({ directory }) => directory)
  }
}

/**
 * Formats users of an image as text, such as `container web (stopped), the mount at /mnt`.
 *
 * @returns '' when there are none
 */
export function describeUsers({ containers, mounts }: ImageUsers): string {
  return [
    ...containers.map(({ name, isRunning }) => `container ${name}${isRunning ? '' : ' (stopped)'}`),
    ...mounts.map((directory) => `the mount at ${directory}`)
  ].join(', ')
}
