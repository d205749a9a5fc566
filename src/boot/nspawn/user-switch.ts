import { chmod, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ContainerUser } from './container-user.ts'
import { thisProcessor } from '../enter/processor.ts'
import { makeUserProgram } from '../enter/user-program.ts'
import type { Bind } from '../state/bind-option.ts'

/** How a command becomes a user that systemd-nspawn cannot make it. */
export interface UserSwitch {
  /** Goes before the command. */
  readonly argv: readonly string[]
  /** The binds that it needs in the container. */
  readonly binds: readonly Bind[]
}

/** In a tmpfs that nspawn always makes. */
const PLACE = '/run/dat-container/start'
const FILE = 'start'

/**
 * Makes a program in the container's directory that switches to a numeric user. An image may have no program for
 * that, and one of this machine could be overwritten by the container.
 *
 * @param path of the command in the container
 * @throws ContainerError `MISSING_TOOL`
 */
export async function makeUserSwitch(
  directory: string,
  user: ContainerUser,
  path: string,
  argv: readonly string[]
): Promise<UserSwitch> {
  const program = makeUserProgram({ user, path, argumentCount: argv.length }, thisProcessor())
  const source = join(directory, FILE)
  await rm(source, { force: true })
  await writeFile(source, program, { flag: 'wx' })
  await chmod(source, 0o755)
  return { argv: [PLACE], binds: [{ source, target: PLACE, readOnly: true }] }
}
