import { basename } from 'node:path'
import { ContainerError } from '../image/errors.ts'
import type { ContainerUser } from './container-user.ts'
import { missingTool, runCommand } from './host-command.ts'
import type { Bind } from './nspawn-plan.ts'
import { hostProgram, isOnHost } from './package-manager.ts'

/** How a command becomes a user that systemd-nspawn cannot make it. */
export interface UserSwitch {
  /** Goes before the command. */
  readonly argv: readonly string[]
  /** Files of this machine that it needs in the container. */
  readonly binds: readonly Bind[]
}

/** A tmpfs that nspawn always makes. */
const PLACE = '/run/dat-container'
/** `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, and the loader without a name before it. */
const LIBRARY = /^\s*(?:\S+ => )?(\/\S+) \(0x[0-9a-f]+\)$/
const LOADER = /\/ld[-\w.]*\.so[.\d]*$/

/**
 * Plans to become a user by the numbers alone: with this machine's setpriv(1), its libraries and its
 * loader, as an image may have no program but its own.
 *
 * @throws ContainerError `MISSING_TOOL`, `BOOT_FAILED`
 */
export async function planUserSwitch({ uid, gid, groups }: ContainerUser): Promise<UserSwitch> {
  if (!isOnHost('setpriv')) throw await missingTool('setpriv')
  const setpriv = hostProgram('setpriv')
  const { stdout, exitCode } = await runCommand('ldd', [setpriv])
  const libraries = stdout.split('\n').flatMap((line) => LIBRARY.exec(line)?.[1] ?? [])
  const loader = libraries.find((path) => LOADER.test(path))
  if (exitCode !== 0 || loader === undefined) {
    throw new ContainerError(
      'BOOT_FAILED',
      `cannot start as user ${uid}: ldd does not know setpriv`,
      {
        hint: 'start as root: boot … -u root'
      }
    )
  }
  const inside = (path: string): string => `${PLACE}/${basename(path)}`
  return {
    argv: [
      inside(loader),
      '--library-path',
      PLACE,
      inside(setpriv),
      `--reuid=${uid}`,
      `--regid=${gid}`,
      `--groups=${groups.join(',')}`,
      '--inh-caps=-all',
      '--'
    ],
    binds: [setpriv, ...libraries].map((path) => ({
      source: path,
      target: inside(path),
      readOnly: true
    }))
  }
}
