import { stat } from 'node:fs/promises'
import type { StartCommand } from '../../image/format/manifest.ts'
import { ContainerError } from '../../core/errors.ts'
import type { ContainerOptions } from '../state/boot-options.ts'
import { CONTAINER_PATH, findCommand, requireInit } from './container-command.ts'
import { resolveUser, type ContainerUser } from './container-user.ts'
import type { Payload } from './nspawn-plan.ts'
import type { Bind } from '../state/bind-option.ts'
import { statInRoot } from '../root/rootfs-path.ts'
import { makeUserSwitch } from './user-switch.ts'

/** The program that a container will run, checked against its tree. */
export interface PayloadPlan {
  readonly payload: Payload
  /** `NAME=value`, the image's first, then the user's. */
  readonly env: readonly string[]
  /** The owner of the standard streams, if nspawn does not set it. */
  readonly owner?: Pick<ContainerUser, 'uid' | 'gid'>
}

/** Decides whether a container boots an init or runs one command; pure. */
export function startMode(start: StartCommand, options: ContainerOptions): 'boot' | 'process' {
  if (options.command !== undefined) return 'process'
  return options.forceBoot === true ? 'boot' : start.mode
}

/** Puts the variables of a container's start together, `NAME=value`: those of the image, then those of the user. */
export function startEnvironment(start: StartCommand, options: ContainerOptions): string[] {
  return [...(start.env ?? []), ...(options.env ?? [])].map(fromOwnEnvironment)
}

/**
 * Resolves what to run in the tree at `root`, before anything is started.
 *
 * @param directory of the container, for files that it needs outside its tree
 * @throws ContainerError `COMMAND_NOT_FOUND`, `COMMAND_NOT_EXECUTABLE`, `BOOT_FAILED`, `NOT_FOUND` for the user,
 *   `BAD_MANIFEST`
 */
export async function planPayload(
  root: string,
  directory: string,
  start: StartCommand,
  options: ContainerOptions
): Promise<PayloadPlan> {
  const env = startEnvironment(start, options)
  if (startMode(start, options) === 'boot') {
    await requireInit(root)
    return { payload: { mode: 'boot' }, env }
  }
  const argv = options.command ?? start.argv ?? []
  const [command] = argv
  if (command === undefined) {
    throw new ContainerError('USAGE', 'the image names no command to run', {
      hint: 'give one: dat-container boot LINK -- COMMAND'
    })
  }
  const cwd = options.cwd ?? start.cwd
  const path = env.findLast((variable) => variable.startsWith('PATH='))?.slice('PATH='.length)
  const file = await findCommand(root, command, {
    path: path ?? CONTAINER_PATH,
    ...(cwd && { cwd })
  })
  const place = cwd === undefined || cwd === '' ? {} : { cwd }
  const other = await otherUser(root, options.user ?? start.user)
  if (other === undefined) return { payload: { mode: 'process', argv, ...place }, env }
  const { user, byNspawn } = other
  if (byNspawn && user.name !== undefined) {
    return { payload: { mode: 'process', argv, ...place, user: user.name }, env }
  }
  const { argv: before, binds } = await makeUserSwitch(directory, user, file, argv)
  return {
    payload: { mode: 'process', argv: [...before, ...argv], ...place, binds },
    env: [...userEnvironment(user), ...env],
    owner: user
  }
}

/**
 * The user to become, undefined for root. nspawn takes a user's name alone and looks it up with the
 * image's own getent, so that one without a name, with another group, or in an image without that
 * program is none for it.
 */
async function otherUser(
  root: string,
  text: string | undefined
): Promise<{ user: ContainerUser; byNspawn: boolean } | undefined> {
  if (text === undefined || text === '') return undefined
  const user = await resolveUser(root, text)
  if (user.uid === 0 && user.gid === 0) return undefined
  const byName = user.name === undefined ? undefined : await resolveUser(root, user.name)
  const isOwnGroup = byName?.gid === user.gid && byName.groups.length === user.groups.length
  return { user, byNspawn: user.uid !== 0 && isOwnGroup && (await hasGetent(root)) }
}

async function hasGetent(root: string): Promise<boolean> {
  for (const path of ['/usr/bin/getent', '/bin/getent']) {
    if ((await statInRoot(root, path)) !== undefined) return true
  }
  return false
}

/** The variables that nspawn sets for root by default; those of the image and the user override them. */
function userEnvironment({ name, uid, homeDirectory }: ContainerUser): string[] {
  const called = name ?? String(uid)
  return [`HOME=${homeDirectory}`, `USER=${called}`, `LOGNAME=${called}`]
}

/** `-e NAME` alone passes our own variable on. */
function fromOwnEnvironment(variable: string): string {
  return variable.includes('=') ? variable : `${variable}=${process.env[variable] ?? ''}`
}

/**
 * Checks that both paths of each volume are absolute and that the source exists.
 *
 * @throws ContainerError `NOT_FOUND`, `USAGE`
 */
export async function checkBinds(binds: readonly Bind[]): Promise<void> {
  for (const { source, target } of binds) {
    if (!source.startsWith('/') || !target.startsWith('/')) {
      throw new ContainerError('USAGE', `both paths of -v ${source}:${target} must be absolute`)
    }
    try {
      await stat(source)
    } catch (cause) {
      throw new ContainerError(
        'NOT_FOUND',
        `${source} does not exist, so it cannot be mounted in the container`,
        {
          hint: 'create it first, or correct -v',
          cause
        }
      )
    }
  }
}
