import type { StartCommand } from '../../image/format/manifest.ts'
import type { ContainerOptions } from '../state/boot-options.ts'
import { readJsonFile, writeJsonFile } from '../../core/json-file.ts'
import type { ContainerPaths } from '../state/paths.ts'
import { startEnvironment, startMode } from './payload.ts'
import * as v from 'valibot'
import type { Shape } from '../../core/record-format.ts'

/** How a container was started, as far as a further command starts the same way. */
export interface ExecDefaults {
  /** `NAME=value`, the image's first, then the user's. */
  readonly env?: readonly string[]
  readonly cwd?: string
  readonly user?: string
}

const execDefaults: Shape<ExecDefaults> = v.looseObject({
  env: v.exactOptional(v.array(v.string())),
  cwd: v.exactOptional(v.string()),
  user: v.exactOptional(v.string())
})

/**
 * Records variables, directory and user of a container's start for later `exec` calls. They have a file of their
 * own: variables are often secrets, while the state is shown to everybody who asks for it.
 */
export async function writeExecDefaults(
  paths: ContainerPaths,
  start: StartCommand,
  options: ContainerOptions
): Promise<void> {
  const isProcess = startMode(start, options) === 'process'
  const cwd = isProcess ? (options.cwd ?? start.cwd) : undefined
  const user = isProcess ? (options.user ?? start.user) : undefined
  const defaults: ExecDefaults = {
    env: startEnvironment(start, options),
    ...(cwd !== undefined && cwd !== '' && { cwd }),
    ...(user !== undefined && user !== '' && { user })
  }
  await writeJsonFile(paths.execDefaults, defaults)
}

/**
 * Reads what {@link writeExecDefaults} wrote.
 *
 * @returns an empty object for a container that an earlier release started
 */
export async function readExecDefaults(paths: ContainerPaths): Promise<ExecDefaults> {
  return (await readJsonFile(paths.execDefaults, execDefaults)) ?? {}
}
