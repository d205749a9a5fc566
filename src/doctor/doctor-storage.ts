import { constants } from 'node:fs'
import {
  access,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  realpath,
  rm,
  statfs,
  writeFile
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import prettyBytes from 'pretty-bytes'
import { unmount } from '../fuse/linux/bind-mount.ts'
import { loadFuse } from '../fuse/protocol/binding.ts'
import { readKernelFacts } from '../fuse/linux/kernel-facts.ts'
import { mount } from '../fuse/linux/mount-syscall.ts'
import { systemErrorCode } from '../core/errors.ts'
import { fail, partly, pass, reasonOf, type Check } from './doctor-check.ts'
import { removeUnmounted, unmountAllUnder } from '../fuse/linux/mount-cleanup.ts'
import { installCommand } from '../core/host/package-manager.ts'
import { identify } from '../core/host/process-table.ts'

const TRIAL = 'dat-container-doctor-'
/** With the process that tries. */
const TRIAL_NAME = new RegExp(`^${TRIAL}(\\d+)-`)
/** Below this a home has room for hardly one image. */
const LITTLE_SPACE_BYTES = 2 * 1024 ** 3

export async function checkRoot(): Promise<Check> {
  const uid = process.getuid?.()
  return uid === 0
    ? pass('root', 'running as root')
    : partly(
        'root',
        `running as user ${uid}: sharing works, mounting and booting do not`,
        'run with sudo'
      )
}

export async function checkFuse(): Promise<Check> {
  try {
    await access('/dev/fuse', constants.R_OK | constants.W_OK)
  } catch (error) {
    return systemErrorCode(error) === 'ENOENT'
      ? fail(
          'fuse',
          'there is no /dev/fuse',
          'modprobe fuse (in a container: give it --device /dev/fuse)'
        )
      : fail('fuse', '/dev/fuse cannot be opened', 'run with sudo')
  }
  try {
    loadFuse()
    return pass('fuse', '/dev/fuse is there and the FUSE library loads')
  } catch (error) {
    return fail(
      'fuse',
      `the FUSE library does not load: ${reasonOf(error)}`,
      installCommand('libfuse')
    )
  }
}

/** EROFS from a file needs 6.12; from devices, with the data on a second one, 5.16. */
export async function checkKernelFilesystems(): Promise<Check> {
  const { erofs, major, minor } = await readKernelFacts()
  const kernel = `Linux ${major}.${minor}`
  const atLeast = (wantMajor: number, wantMinor: number): boolean =>
    major > wantMajor || (major === wantMajor && minor >= wantMinor)
  const slower = 'images are served through FUSE only, which is slower'
  if (!erofs) {
    const remedy = 'modprobe erofs; if that fails, use a kernel that has CONFIG_EROFS_FS'
    return partly('erofs', `${kernel} has no EROFS: ${slower}`, remedy)
  }
  if (!atLeast(5, 16)) {
    return partly(
      'erofs',
      `EROFS of ${kernel} does not support a second device: ${slower}`,
      'use Linux 5.16 or newer'
    )
  }
  const how = atLeast(6, 12)
    ? 'straight from files'
    : 'through loop devices (from files since 6.12)'
  return pass('erofs', `${kernel} mounts EROFS ${how}`)
}

/** Takes down what doctors that were killed have mounted, and would stay mounted for ever. */
async function clearKilledTrials(): Promise<void> {
  const temporary = await realpath(tmpdir())
  for (const name of await readdir(temporary)) {
    const [, pid] = TRIAL_NAME.exec(name) ?? []
    if (pid === undefined || identify(Number(pid)) !== undefined) continue
    const directory = join(temporary, name)
    try {
      const status = await lstat(directory)
      if (!status.isDirectory() || status.uid !== process.getuid?.()) continue
      await unmountAllUnder(directory)
      await removeUnmounted(directory)
    } catch {
      // Another doctor was quicker.
    }
  }
}

/** Mounts one in a private directory, with the options that containers use. */
export async function checkOverlay(): Promise<Check> {
  if (process.getuid?.() !== 0)
    return partly('overlay', 'cannot be tried without root', 'run with sudo')
  await clearKilledTrials()
  const directory = await mkdtemp(join(tmpdir(), `${TRIAL}${process.pid}-`))
  try {
    await mount({ source: 'tmpfs', target: directory, type: 'tmpfs', flags: 0, data: 'mode=700' })
    const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) =>
      join(directory, name)
    )
    for (const path of [lower, upper, work, merged]) await mkdir(path ?? '')
    const data = `lowerdir=${lower},upperdir=${upper},workdir=${work},metacopy=on,redirect_dir=on`
    await mount({ source: 'overlay', target: merged ?? '', type: 'overlay', flags: 0, data })
    await writeFile(`${merged}/written`, '')
    await unmount(merged ?? '')
    return pass('overlay', 'an overlay was mounted and written to')
  } catch (error) {
    return fail(
      'overlay',
      reasonOf(error),
      'modprobe overlay; if that fails, use a kernel that has CONFIG_OVERLAY_FS'
    )
  } finally {
    await unmount(directory, { lazy: 'if-busy' }).catch(() => {})
    await rm(directory, { recursive: true, force: true }).catch(() => {})
  }
}

export async function checkZstd(): Promise<Check> {
  try {
    const { compress, decompress } = await import('zstd-napi')
    const text = Buffer.alloc(4096, 'x')
    if (!decompress(compress(text)).equals(text)) throw new Error('it decompresses wrongly')
    return pass('zstd', 'the compression library works')
  } catch (error) {
    return fail(
      'zstd',
      `the compression library does not load: ${reasonOf(error)}`,
      'npm rebuild zstd-napi'
    )
  }
}

export async function checkSpace(home: string): Promise<Check> {
  const { path, freeBytes } = await freeSpaceNear(home)
  const detail = `${prettyBytes(freeBytes, { binary: true })} free for ${home}`
  if (freeBytes >= LITTLE_SPACE_BYTES) return pass('space', detail)
  return partly('space', detail, `free some of ${path}, or choose another --home`)
}

/** The home may not have been made yet; it will be on the filesystem of the nearest parent. */
async function freeSpaceNear(path: string): Promise<{ path: string; freeBytes: number }> {
  try {
    const { bavail, bsize } = await statfs(path)
    return { path, freeBytes: bavail * bsize }
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT' || dirname(path) === path) throw error
    return freeSpaceNear(dirname(path))
  }
}
