import { lstat, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'

/**
 * Directories in which systemd-nspawn (252) makes files by their path on this machine, as root: where one is a symlink
 * that is absolute or climbs, they are made on this machine, device nodes among them. On the others it follows
 * symlinks inside the container's root.
 */
const WRITTEN_FROM_OUTSIDE = ['etc', 'dev', 'run']

/**
 * Checks that systemd-nspawn writes to nothing outside of the root of a container that does not run yet.
 *
 * @param root the container's
 * @throws ContainerError `BAD_MANIFEST` when one of these directories leads out of it
 */
export async function requireInnerDirectories(root: string): Promise<void> {
  const own = `${await realpath(root)}/`
  for (const name of WRITTEN_FROM_OUTSIDE) {
    const path = join(root, name)
    if ((await lstat(path).catch(ignoreAbsent)) === undefined) continue
    // A dangling link could have a target a moment later.
    const target = await realpath(path).catch(ignoreAbsent)
    if (target?.startsWith(own)) continue
    throw new ContainerError('BAD_MANIFEST', `the /${name} of this container leads out of it`, {
      hint: 'systemd-nspawn would read and write files of this machine there: do not run it'
    })
  }
}

function ignoreAbsent(error: unknown): undefined {
  if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemErrorCode(error) ?? '')) return undefined
  throw error
}
