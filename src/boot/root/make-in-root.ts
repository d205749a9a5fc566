import { chmod, chown, mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../../core/errors.ts'
import { followInRoot } from './place-in-root.ts'

/** The owner of what is created: the container's root. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/**
 * Makes a directory in the tree of a container that does not run, with all that is missing above it, where it is
 * not there. Symlinks are followed inside the tree, dangling ones too, and never out of it.
 *
 * @param mode of the directory; those above get 0755
 * @returns whether there is a directory now: false where something else is in the way
 */
export async function makeDirectoryInRoot(
  root: string,
  path: string,
  owner: Owner,
  mode = 0o755
): Promise<boolean> {
  const place = await followInRoot(root, path)
  if (place === undefined) return false
  if (place.missing.length === 0) return (await stat(place.existing)).isDirectory()
  let directory = place.existing
  for (const name of place.missing) {
    directory = join(directory, name)
    try {
      await mkdir(directory)
    } catch (error) {
      if (systemErrorCode(error) === 'ENOTDIR') return false
      throw error
    }
    await chown(directory, owner.uid, owner.gid)
    await chmod(directory, 0o755)
  }
  await chmod(directory, mode)
  return true
}

/** Makes an empty file as {@link makeDirectoryInRoot} makes a directory; what is there stays as it is. */
export async function makeFileInRoot(root: string, path: string, owner: Owner): Promise<void> {
  const place = await followInRoot(root, path)
  if (place === undefined || place.missing.length === 0) return
  const parent = place.path.slice(0, place.path.lastIndexOf('/'))
  if (!(await makeDirectoryInRoot(root, parent, owner))) return
  const file = join(root, place.path)
  await writeFile(file, '', { flag: 'wx', mode: 0o644 })
  await chown(file, owner.uid, owner.gid)
}
