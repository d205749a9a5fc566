import { mkdir } from 'node:fs/promises'
import { unmount } from '../../fuse/linux/bind-mount.ts'
import { mountIdmapped } from '../../fuse/linux/idmapped-mount.ts'
import { mountOverlay, planOverlay, type OverlayRequest } from './overlay.ts'
import type { ContainerPaths } from '../state/paths.ts'
import { openUserNamespace, type IdRange } from '../ids/user-namespace.ts'

/**
 * Shows a mounted image at `paths.lower` as a container with ids of its own has to find it: what belongs to
 * the image's root belongs to the first id of `range`.
 *
 * @returns whether it is there: false where the kernel cannot map the ids of such a mount
 * @throws ContainerError `MISSING_TOOL`, `NEEDS_ROOT`, `MOUNT_FAILED`
 */
export async function mountLower(
  image: string,
  paths: ContainerPaths,
  range: IdRange
): Promise<boolean> {
  await mkdir(paths.lower, { recursive: true, mode: 0o700 })
  const namespace = await openUserNamespace(range)
  try {
    return await mountIdmapped({
      source: image,
      target: paths.lower,
      userNamespace: namespace.fd
    })
  } finally {
    await namespace[Symbol.asyncDispose]()
  }
}

/**
 * Mounts the container's root at `paths.merged`, and removes what {@link mountLower} left once that is done.
 *
 * @returns undoes it
 * @throws ContainerError as {@link mountOverlay}
 */
export async function mountContainerRoot(
  request: OverlayRequest & { readonly paths: ContainerPaths }
): Promise<() => Promise<void>> {
  const { lower, paths } = request
  try {
    return await mountOverlay(planOverlay(request), lower)
  } finally {
    // The overlay has a clone of its own.
    if (lower === paths.lower) await unmount(paths.lower)
  }
}
