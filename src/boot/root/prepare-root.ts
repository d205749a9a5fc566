import { chmod, chown, lstat, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ContainerError } from '../../core/errors.ts'
import type { ContainerOptions } from '../state/boot-options.ts'
import { makeDirectoryInRoot, makeFileInRoot, type Owner } from './make-in-root.ts'
import type { Bind } from '../state/bind-option.ts'
import type { ContainerPaths } from '../state/paths.ts'
import { followInRoot } from './place-in-root.ts'
import { statInRoot } from './rootfs-path.ts'

const RESOLV_CONF = '/etc/resolv.conf'
/** The directories on which systemd-nspawn mounts, and `usr`, without which it rejects a tree. */
const MOUNT_POINTS: readonly (readonly [path: string, mode: number])[] = [
  ['/usr', 0o755],
  ['/proc', 0o755],
  ['/sys', 0o755],
  ['/dev', 0o755],
  ['/run', 0o755],
  ['/tmp', 0o1777]
]
/** Places that systemd-nspawn mounts file systems of its own over. */
const EPHEMERAL = /^\/(run|tmp)\//
const KERNELS = /^\/(proc|sys|dev)(\/|$)/
const OS_RELEASE = ['/etc/os-release', '/usr/lib/os-release']

/**
 * Gives the root of a container that does not run yet what systemd-nspawn wants there and an image may lack: an image
 * of one static program has nothing but that. It makes them itself, but not in a root that is to be read-only.
 *
 * @param root host path, writable
 * @throws the system's error
 */
export async function makeMountPoints(root: string, owner: Owner): Promise<void> {
  for (const [path, mode] of MOUNT_POINTS) await makeDirectoryInRoot(root, path, owner, mode)
}

/**
 * Makes an empty os-release(5), which says what none says, in a root without one: systemd-nspawn boots no other, and
 * can be told to from systemd 255 on only.
 */
export async function makeOsRelease(root: string, owner: Owner): Promise<void> {
  for (const path of OS_RELEASE) {
    if ((await statInRoot(root, path)) !== undefined) return
  }
  await makeFileInRoot(root, OS_RELEASE[0]!, owner)
}

/**
 * Makes the working directory of a command, as docker does.
 *
 * @returns where systemd-nspawn has to make it, below what it mounts itself
 * @throws ContainerError `COMMAND_NOT_EXECUTABLE` when something else is there
 */
export async function makeWorkingDirectory(
  root: string,
  path: string,
  owner: Owner
): Promise<string | undefined> {
  const place = await followInRoot(root, path)
  if (place !== undefined && EPHEMERAL.test(place.path)) return place.path
  if (await makeDirectoryInRoot(root, path, owner)) return undefined
  throw new ContainerError(
    'COMMAND_NOT_EXECUTABLE',
    `the working directory ${path} is not a directory in the container`,
    { hint: 'choose another with -w' }
  )
}

/** How systemd-nspawn is to treat the container's /etc/resolv.conf. */
export interface ResolvConfPlan {
  /** Whether it has to leave the file alone. */
  readonly keep: boolean
  readonly bind?: Bind
}

/**
 * Sees to it that a container in this machine's network finds this machine's /etc/resolv.conf. systemd-nspawn writes
 * it where there is a plain file, and where it may; what a symlink leads to, there or missing, is bound here. An init
 * that has systemd-resolved(8) make that file is left to it; with another init and user ids of its own, a symlink into
 * /run becomes a file. systemd-nspawn would wait for ever on a FIFO.
 *
 * @param isBoot whether the container's init is started
 */
export async function prepareResolvConf(
  { merged: root, directory }: Pick<ContainerPaths, 'merged' | 'directory'>,
  isBoot: boolean,
  owner: Owner,
  { network = 'host', binds = [] }: ContainerOptions
): Promise<ResolvConfPlan> {
  const place = await followInRoot(root, RESOLV_CONF)
  if (place === undefined || KERNELS.test(place.path)) return { keep: true }
  const isThere = place.missing.length === 0
  if (isThere && !(await stat(place.existing)).isFile()) return { keep: true }
  if (network !== 'host' || binds.some(({ target }) => target === RESOLV_CONF)) {
    return { keep: false }
  }
  if (isBoot && (await hasResolved(root))) return { keep: false }
  if (!isThere && !EPHEMERAL.test(place.path)) await makeFileInRoot(root, RESOLV_CONF, owner)
  if (place.path === RESOLV_CONF) return { keep: false }
  // Binding below /run needs directories there, which systemd-nspawn creates with this machine's root as owner:
  // systemd, with other user ids, could not make its own in them, and ends.
  if (isBoot && owner.uid !== 0 && EPHEMERAL.test(place.path)) {
    await replaceSymlink(root, owner)
    return { keep: false }
  }
  const text = await readFile(RESOLV_CONF).catch(() => undefined)
  if (text === undefined) return { keep: false }
  const source = join(directory, 'resolv.conf')
  await rm(source, { force: true })
  await writeFile(source, text, { flag: 'wx' })
  await chown(source, owner.uid, owner.gid)
  await chmod(source, 0o644)
  return { keep: true, bind: { source, target: place.path, readOnly: true } }
}

/** Makes a symlink at /etc/resolv.conf an empty file, for systemd-nspawn to fill. */
async function replaceSymlink(root: string, owner: Owner): Promise<void> {
  const parent = await followInRoot(root, dirname(RESOLV_CONF))
  if (parent === undefined || parent.missing.length > 0) return
  const file = join(parent.existing, basename(RESOLV_CONF))
  if (!(await lstat(file)).isSymbolicLink()) return
  await rm(file)
  await makeFileInRoot(root, RESOLV_CONF, owner)
}

async function hasResolved(root: string): Promise<boolean> {
  for (const target of ['multi-user', 'sysinit']) {
    const unit = `/etc/systemd/system/${target}.target.wants/systemd-resolved.service`
    if ((await statInRoot(root, unit)) !== undefined) return true
  }
  return false
}
