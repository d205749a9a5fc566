import { mkdir, realpath, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mountIdmapped, MOUNT_ATTRIBUTE } from '../../fuse/linux/idmapped-mount.ts'
import { ContainerError } from '../../core/errors.ts'
import { unmountAllUnder } from '../../fuse/linux/mount-cleanup.ts'
import type { Bind } from '../state/bind-option.ts'
import type { ContainerPaths } from '../state/paths.ts'
import { openUserNamespace, type IdRange } from '../ids/user-namespace.ts'

/**
 * Prepares files and directories of this machine for a container with ids of its own. The container sees the
 * owners that they have here, and what its root creates in them belongs to root here. Device nodes in them do not
 * work.
 *
 * @param undo collects what undoes it
 * @returns the same binds, with the prepared sources
 * @throws ContainerError `MOUNT_FAILED` for a file system that does not support mapped ids
 */
export async function mapBinds(
  paths: ContainerPaths,
  binds: readonly Bind[],
  range: IdRange,
  undo: (task: () => Promise<void>) => void
): Promise<Bind[]> {
  if (binds.length === 0) return []
  const namespace = await openUserNamespace(range)
  try {
    await mkdir(paths.binds, { recursive: true, mode: 0o700 })
    undo(() => unmountAllUnder(paths.binds))
    const mapped: Bind[] = []
    for (const [index, bind] of binds.entries()) {
      const place = join(paths.binds, String(index))
      // The mount table, which tells what is mounted below, knows real paths alone.
      const source = await realpath(bind.source)
      if ((await stat(source)).isDirectory()) await mkdir(place)
      else await writeFile(place, '')
      await mapOne(source, place, namespace.fd)
      mapped.push({ ...bind, source: place })
    }
    return mapped
  } finally {
    await namespace[Symbol.asyncDispose]()
  }
}

async function mapOne(source: string, target: string, userNamespace: number): Promise<void> {
  const attributes = MOUNT_ATTRIBUTE.noDev
  const options = { source, target, userNamespace, attributes, recursive: true }
  if (await mountIdmapped(options)) return
  throw new ContainerError('MOUNT_FAILED', `the file system of ${source} cannot map user ids`, {
    hint:
      'use a directory on another one (ext4, xfs, btrfs, tmpfs; Linux 5.12), or, for an image that you trust ' +
      'as much as this machine’s root, run without separate user ids: --private-users no'
  })
}
