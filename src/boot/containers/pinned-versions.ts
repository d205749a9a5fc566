import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { containerNames } from '../state/container-record.ts'
import { summarize } from './container-summary.ts'
import { ContainerError } from '../../core/errors.ts'
import { readJsonFile } from '../../core/json-file.ts'
import { mounterState } from '../lease/mounter-protocol.ts'
import { bootPaths, mounterPathsOf } from '../state/paths.ts'

/** A version of an image that something of a home stands on. */
export interface PinnedVersion {
  /** z32 drive key. */
  readonly key: string
  readonly version: number
}

/**
 * Lists the image versions that a home's containers, running or stopped, and its mounts use.
 *
 * @throws ContainerError `IO` when the version of a container cannot be determined
 */
export async function pinnedVersions(home: string): Promise<PinnedVersion[]> {
  const paths = bootPaths(home)
  const names = await containerNames(paths)
  const containers = await Promise.all(names.map((name) => summarize(paths, name)))
  const unknown = containers.find((container) => container?.state === 'damaged')
  if (unknown !== undefined) {
    throw new ContainerError('IO', `the image of container ${unknown.name} is unknown`, {
      hint: unknown.problem ?? ''
    })
  }
  const mounters = await readdir(paths.mounts)
  const mounts = await Promise.all(
    mounters.map((name) => readJsonFile(mounterPathsOf(paths, name).state, mounterState))
  )
  return [...containers, ...mounts]
    .filter((used) => used !== undefined)
    .filter((used) => !('binds' in used) || existsSync(`/proc/${used.pid}`))
    .flatMap(({ key, version }) => (key === null || version === null ? [] : [{ key, version }]))
}
