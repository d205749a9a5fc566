import { mkdir, readdir, realpath } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { MountMode } from '../../fuse/content/mounted-image.ts'
import { readMountTable } from '../../fuse/linux/mount-table.ts'
import { ContainerError, isContainerError, systemErrorCode } from '../../core/errors.ts'
import { readJsonFile } from '../../core/json-file.ts'
import { type BindPowers, type MounterState, mounterState } from '../lease/mounter-protocol.ts'
import { usersBelow } from './mount-users.ts'
import { acquireMount, MountLease, type AcquireMountOptions } from '../lease/mount-lease.ts'
import { bootPaths, mounterPathsOf } from '../state/paths.ts'
import { requireRoot } from '../../core/host/require-root.ts'
import { sweep } from './sweep.ts'

/** How many users of a mount an error names. */
const MOST_USERS = 5

/** An image that is shown at a directory without a container. */
export interface ImageMount {
  readonly directory: string
  readonly link: string
  readonly key: string
  readonly version: number
  readonly image: string
  readonly mode: MountMode
}

/**
 * Mounts the image read-only at `directory`, which is created if missing. The mount lasts until {@link
 * unmountImageAt} or until somebody unmounts it by hand. Without `powers`, setuid bits and device nodes in it have
 * no effect.
 *
 * @throws ContainerError `BUSY` when the directory is a mount point or not empty, `NEEDS_ROOT`, and what acquiring
 *   the mount throws
 */
export async function mountImageAt(
  options: AcquireMountOptions & { readonly directory: string; readonly powers?: BindPowers }
): Promise<ImageMount> {
  requireRoot('mounting an image')
  const { directory: given, powers, ...acquire } = options
  await sweep({ home: options.home })
  const directory = await emptyDirectory(given)
  const lease = await acquireMount(acquire)
  try {
    await lease.bind(directory, powers)
    const { link, key, version, image, mode } = lease.facts
    return { directory, link, key, version, image, mode }
  } finally {
    await lease[Symbol.asyncDispose]()
  }
}

/**
 * Unmounts what {@link mountImageAt} mounted.
 *
 * @throws ContainerError `NOT_FOUND` when no image of this home is mounted there, `BUSY` when it is in use,
 *   `NEEDS_ROOT`
 */
export async function unmountImageAt(home: string, given: string): Promise<void> {
  requireRoot('unmounting an image')
  await sweep({ home })
  const directory = await realpath(given).catch(() => resolve(given))
  for (const { state, socket } of await mounters(home)) {
    if (!state.binds.includes(directory)) continue
    const lease = await MountLease.connect(socket)
    if (lease === undefined) continue
    try {
      await lease.unbind(directory)
      return
    } catch (error) {
      throw isContainerError(error, 'BUSY') ? await inUse(directory, error) : error
    } finally {
      await lease[Symbol.asyncDispose]()
    }
  }
  throw new ContainerError('NOT_FOUND', `no image is mounted at ${directory}`, {
    hint: 'see what is mounted: findmnt'
  })
}

/** Lists the directories at which images of a home are mounted. */
export async function listImageMounts(home: string): Promise<ImageMount[]> {
  const mounted = new Set((await readMountTable()).map(({ mountPoint }) => mountPoint))
  return (await mounters(home)).flatMap(({ state: { link, key, version, image, mode, binds } }) =>
    binds
      .filter((directory) => mounted.has(directory))
      .map((directory) => ({ directory, link, key, version, image, mode }))
  )
}

async function inUse(directory: string, cause: Error): Promise<ContainerError> {
  const users = usersBelow(directory)
  const shown = users.slice(0, MOST_USERS).map(({ pid, name }) => `${name} (process ${pid})`)
  const more = users.length > MOST_USERS ? ` and ${users.length - MOST_USERS} more` : ''
  const by = shown.length === 0 ? 'by an unknown process' : `by ${shown.join(', ')}${more}`
  return new ContainerError('BUSY', `${directory} is in use ${by}`, {
    hint: `leave the directory and close its files, then try again; umount -l ${directory} detaches it anyway`,
    cause
  })
}

async function mounters(home: string): Promise<{ state: MounterState; socket: string }[]> {
  const paths = bootPaths(home)
  const found: { state: MounterState; socket: string }[] = []
  for (const name of await readdir(paths.mounts)) {
    const files = mounterPathsOf(paths, name)
    const state = await readJsonFile(files.state, mounterState)
    if (state !== undefined) found.push({ state, socket: files.socket })
  }
  return found
}

/** The real path of a directory that is empty and no mount point; the mount table knows no other. */
async function emptyDirectory(given: string): Promise<string> {
  const hint = 'choose an empty directory'
  try {
    await mkdir(given, { recursive: true })
    const directory = await realpath(given)
    if ((await readdir(directory)).length > 0) {
      throw new ContainerError('BUSY', `${directory} is not empty`, { hint })
    }
    if ((await readMountTable()).some(({ mountPoint }) => mountPoint === directory)) {
      throw new ContainerError('BUSY', `something is mounted at ${directory}`, { hint })
    }
    return directory
  } catch (cause) {
    const code = systemErrorCode(cause)
    if (code === undefined || cause instanceof ContainerError) throw cause
    throw new ContainerError('IO', `cannot use ${given} as mount point: ${code}`, { hint, cause })
  }
}
