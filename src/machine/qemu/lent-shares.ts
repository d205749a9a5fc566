import { closeSync } from 'node:fs'
import { openUserNamespace, type IdRange } from '../../boot/ids/user-namespace.ts'
import { cloneIdmapped, MOUNT_ATTRIBUTE } from '../../fuse/linux/idmapped-mount.ts'
import { isContainerError } from '../../core/errors.ts'
import type { SharedDirectory } from './qemu-plan.ts'

/** Directories of this machine, opened for a QEMU that may open nothing of ours by its path. */
export interface LentShares extends AsyncDisposable {
  /** The shares, with descriptors in place of paths. */
  readonly shares: readonly SharedDirectory[]
  /** To be inherited, in this order, from the descriptor on that was asked for. */
  readonly descriptors: readonly number[]
  /** Which of the started process's descriptors is the user namespace that the shares are mapped to. */
  readonly userNamespace: number
}

/**
 * Opens directories as seen by the root of a new user namespace: owners are mapped to `range`, so that
 * it changes files of every owner there, and nothing else of this machine. No setuid bit and no device
 * counts.
 *
 * @param group a group of this machine that the namespace has besides, as the id after the range
 * @param first number that the started process has the first descriptor under
 * @returns undefined where the kernel or one of the file systems cannot map ids
 * @throws ContainerError `NOT_FOUND`, `MOUNT_FAILED`
 */
export async function lendShares(
  shares: readonly SharedDirectory[],
  { range, group, first }: { range: IdRange; group: number | undefined; first: number }
): Promise<LentShares | undefined> {
  const namespace = await openUserNamespace(range, group).catch((error: unknown) => {
    if (isContainerError(error, 'MISSING_TOOL')) return undefined
    throw error
  })
  if (namespace === undefined) return undefined
  const trees: number[] = []
  const close = async (): Promise<void> => {
    for (const tree of trees) closeSync(tree)
    await namespace[Symbol.asyncDispose]()
  }
  try {
    for (const { source, readOnly } of shares) {
      const tree = await cloneIdmapped({
        source,
        userNamespace: namespace.fd,
        attributes:
          MOUNT_ATTRIBUTE.noSuid | MOUNT_ATTRIBUTE.noDev | (readOnly ? MOUNT_ATTRIBUTE.readOnly : 0)
      })
      if (tree === undefined) {
        await close()
        return undefined
      }
      trees.push(tree)
    }
  } catch (error) {
    await close()
    throw error
  }
  return {
    shares: shares.map((share, index) => ({ ...share, source: `/proc/self/fd/${first + index}` })),
    descriptors: [...trees, namespace.fd],
    userNamespace: first + trees.length,
    [Symbol.asyncDispose]: close
  }
}
