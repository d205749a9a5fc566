import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'

const run = promisify(execFile)

/**
 * Puts a read-only loop device over a file.
 *
 * @param options.direct read the file around the page cache, so that content is not cached twice
 * @returns the device's path
 * @throws ContainerError `MISSING_TOOL` without losetup, `MOUNT_FAILED`
 */
export async function attachLoop(file: string, options: { direct: boolean }): Promise<string> {
  const direct = `--direct-io=${options.direct ? 'on' : 'off'}`
  const { stdout } = await losetup('--find', '--show', '--read-only', direct, file)
  return stdout.trim()
}

/** Detaches a loop device, or lets it go when its last user leaves. */
export async function detachLoop(device: string): Promise<void> {
  await losetup('--detach', device)
}

export interface LoopDevice {
  readonly path: string
  readonly backingFile: string
}

/** All attached loop devices, read from sysfs: no backing filesystem is touched. */
export async function listLoopDevices(): Promise<LoopDevice[]> {
  const devices: LoopDevice[] = []
  for (const name of await readdir('/sys/block')) {
    if (!name.startsWith('loop')) continue
    const file = `/sys/block/${name}/loop/backing_file`
    // Devices that are not attached have no such file.
    const text = await readFile(file, 'utf8').catch(() => undefined)
    if (text === undefined) continue
    devices.push({ path: `/dev/${name}`, backingFile: text.trimEnd() })
  }
  return devices
}

async function losetup(...args: string[]): Promise<{ stdout: string }> {
  try {
    return await run('losetup', args)
  } catch (cause) {
    if (systemErrorCode(cause) === 'ENOENT') {
      throw new ContainerError('MISSING_TOOL', 'losetup is not installed', {
        hint: 'install util-linux (Debian, Ubuntu: apt-get install mount)',
        cause
      })
    }
    const said = (cause as { stderr?: string }).stderr?.trim() ?? ''
    throw new ContainerError('MOUNT_FAILED', `losetup ${args.join(' ')} failed: ${said}`, { cause })
  }
}
