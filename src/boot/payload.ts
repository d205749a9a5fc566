import { stat } from 'node:fs/promises'
import type { StartCommand } from '../image/manifest.ts'
import { ContainerError } from '../image/errors.ts'
import type { ContainerOptions } from './boot-options.ts'
import { CONTAINER_PATH, findCommand, requireInit } from './container-command.ts'
import { resolveUser } from './container-user.ts'
import type { Bind, Payload } from './nspawn-plan.ts'

/** What a container will run, checked against its tree. */
export interface PayloadPlan {
  readonly payload: Payload
  /** `NAME=value`, the image's first, then the user's. */
  readonly env: readonly string[]
}

/** Whether the container boots an init or runs one command; pure. */
export function startMode(start: StartCommand, options: ContainerOptions): 'boot' | 'process' {
  if (options.command !== undefined) return 'process'
  return options.forceBoot === true ? 'boot' : start.mode
}

/**
 * Resolves what to run in the tree at `root`, before anything is started.
 *
 * @throws ContainerError `COMMAND_NOT_FOUND`, `COMMAND_NOT_EXECUTABLE`, `BOOT_FAILED`, `NOT_FOUND`
 *   (the user), `BAD_MANIFEST`
 */
export async function planPayload(
  root: string,
  start: StartCommand,
  options: ContainerOptions
): Promise<PayloadPlan> {
  const env = [...(start.env ?? []), ...(options.env ?? [])].map(fromOwnEnvironment)
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
  await findCommand(root, command, { path: path ?? CONTAINER_PATH, ...(cwd && { cwd }) })
  const user = await userName(root, options.user ?? start.user)
  return {
    payload: {
      mode: 'process',
      argv,
      ...(cwd === undefined || cwd === '' ? {} : { cwd }),
      ...(user === undefined ? {} : { user })
    },
    env
  }
}

/** nspawn takes a user's name alone, and looks it up with the image's own getent. */
async function userName(root: string, text: string | undefined): Promise<string | undefined> {
  if (text === undefined || text === '') return undefined
  const user = await resolveUser(root, text)
  if (text.includes(':') && user.gid !== (await resolveUser(root, `${user.uid}`)).gid) {
    throw new ContainerError('USAGE', `${text}: a container starts with its user's own group`, {
      hint: 'name the user alone; `exec --user USER:GROUP` takes any group'
    })
  }
  if (user.uid === 0) return undefined
  if (user.name === undefined) {
    throw new ContainerError('NOT_FOUND', `user ${text} has no entry in the image's /etc/passwd`, {
      hint: 'name a user that has one'
    })
  }
  return user.name
}

/** `-e NAME` alone passes our own variable on. */
function fromOwnEnvironment(variable: string): string {
  return variable.includes('=') ? variable : `${variable}=${process.env[variable] ?? ''}`
}

/** @throws ContainerError `NOT_FOUND`, `USAGE` */
export async function checkBinds(binds: readonly Bind[]): Promise<void> {
  for (const { source, target } of binds) {
    if (!source.startsWith('/') || !target.startsWith('/')) {
      throw new ContainerError('USAGE', `both paths of -v ${source}:${target} must be absolute`)
    }
    try {
      await stat(source)
    } catch (cause) {
      throw new ContainerError('NOT_FOUND', `there is no ${source} to show in the container`, {
        hint: 'make it first, or correct -v',
        cause
      })
    }
  }
}
