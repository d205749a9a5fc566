import { rm } from 'node:fs/promises'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { runCommand } from '../../core/host/host-command.ts'

/**
 * Deletes a directory with all that is in it; none there is no error. A path in a container may fill
 * PATH_MAX by itself, so below the container's own directory it is longer than the kernel takes of a
 * path. Node.js cannot go there step by step as rm(1) does.
 *
 * @throws ContainerError `IO`, `MISSING_TOOL`, or the system's error
 */
export async function removeTree(directory: string): Promise<void> {
  try {
    await rm(directory, { recursive: true, force: true })
  } catch (error) {
    if (systemErrorCode(error) !== 'ENAMETOOLONG') throw error
    const args = ['-rf', '--one-file-system', '--', directory]
    const { exitCode, stderr } = await runCommand('rm', args)
    if (exitCode === 0) return
    throw new ContainerError('IO', `cannot delete ${directory}: ${stderr.split('\n', 1)[0]}`, {
      hint: `delete it by hand: rm -rf ${directory}`,
      cause: error
    })
  }
}
