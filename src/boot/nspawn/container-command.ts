import { posix } from 'node:path'
import { ContainerError } from '../../core/errors.ts'
import { namesInRoot, statInRoot } from '../root/rootfs-path.ts'

/** The default PATH of a process in a container. */
export const CONTAINER_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
/** The paths at which the kernel looks for init, then that of systemd. */
const INIT_PATHS = ['/sbin/init', '/usr/lib/systemd/systemd', '/lib/systemd/systemd', '/init']
const ANY_EXECUTE_BIT = 0o111

/**
 * Finds a command in the tree at `root` as execvp(3) does.
 *
 * @param path the value of PATH in the container
 * @param cwd the working directory in the container
 * @returns its path in the container
 * @throws ContainerError `COMMAND_NOT_FOUND`, `COMMAND_NOT_EXECUTABLE`
 */
export async function findCommand(
  root: string,
  command: string,
  { path = CONTAINER_PATH, cwd = '/' }: { path?: string; cwd?: string } = {}
): Promise<string> {
  const candidates = command.includes('/')
    ? [posix.resolve(cwd, command)]
    : path.split(':').map((directory) => posix.resolve(cwd, directory || '.', command))
  let refused: string | undefined
  for (const candidate of candidates) {
    const stats = await statInRoot(root, candidate)
    if (stats === undefined || command === '') continue
    if (stats.isFile() && (stats.mode & ANY_EXECUTE_BIT) !== 0) return candidate
    refused ??= stats.isDirectory() ? 'it is a directory' : 'it is not executable'
  }
  const what = JSON.stringify(command)
  if (refused !== undefined) {
    throw new ContainerError('COMMAND_NOT_EXECUTABLE', `cannot execute ${what}: ${refused}`)
  }
  const programs = await searched(root, path)
  const missing = programs.hasShell
    ? ''
    : programs.any
      ? ', nor is a shell'
      : ', nor is any program'
  const advice = programs.any
    ? 'see what there is: dat-container ls IMAGE /bin'
    : 'it contains no programs: see its files with dat-container ls IMAGE'
  throw new ContainerError('COMMAND_NOT_FOUND', `${what} is not in the container${missing}`, {
    hint: command.includes('/') ? `check its path; ${advice}` : `searched: ${path}; ${advice}`
  })
}

/** Checks that the tree has an init to boot. @throws ContainerError `BOOT_FAILED` */
export async function requireInit(root: string): Promise<void> {
  for (const path of INIT_PATHS) {
    if ((await statInRoot(root, path)) !== undefined) return
  }
  const { any, hasShell } = await searched(root, CONTAINER_PATH)
  if (!any) {
    throw new ContainerError('BOOT_FAILED', 'the image has neither an init nor any other program', {
      hint: 'it is not a root filesystem, or it is empty: see its files with dat-container ls IMAGE'
    })
  }
  throw new ContainerError('BOOT_FAILED', 'the image has no init to boot', {
    hint: hasShell
      ? 'run a command instead: dat-container boot IMAGE -- sh'
      : 'it has no shell either: run a program, dat-container boot IMAGE -- PROGRAM (dat-container ls IMAGE /bin lists them)'
  })
}

/** Which kinds of programs were found in the searched places. */
async function searched(root: string, path: string): Promise<{ any: boolean; hasShell: boolean }> {
  const found = { any: false, hasShell: false }
  for (const directory of path.split(':')) {
    const names = await namesInRoot(root, posix.resolve('/', directory))
    if (names.length > 0) found.any = true
    if (names.includes('sh')) found.hasShell = true
  }
  return found
}
