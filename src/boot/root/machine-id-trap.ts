import { chown, lstat, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'

const NAME = 'machine-id'

/**
 * Makes `/etc/machine-id` of a container that does not run yet safe to open from outside: systemd-nspawn
 * (until 253) opens it as root without keeping to the container's root, so that a symbolic link there
 * names a file of this machine, and a FIFO holds it up for ever. What is no plain file becomes an empty
 * one, which an init fills as on a first boot.
 *
 * @param root the container's, writable
 * @throws ContainerError `BAD_MANIFEST` when its /etc leads out of it
 */
export async function clearMachineIdTrap(root: string): Promise<void> {
  const etc = await realpath(join(root, 'etc')).catch(ignoreAbsent)
  if (etc === undefined) return
  if (!`${etc}/`.startsWith(`${await realpath(root)}/`)) {
    throw new ContainerError('BAD_MANIFEST', 'the /etc of this container leads outside', {
      hint: 'do not run it: systemd-nspawn would read files of this machine through it'
    })
  }
  const path = join(etc, NAME)
  const status = await lstat(path).catch(ignoreAbsent)
  if (status === undefined || status.isFile()) return
  await rm(path, { recursive: true })
  await writeFile(path, '', { flag: 'wx', mode: 0o644 })
  const { uid, gid } = await stat(etc)
  await chown(path, uid, gid)
}

function ignoreAbsent(error: unknown): undefined {
  if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemErrorCode(error) ?? '')) return undefined
  throw error
}
