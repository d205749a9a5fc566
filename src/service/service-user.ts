import { ContainerError } from '../core/errors.ts'
import { runCommand } from '../core/host/host-command.ts'
import { SERVICE } from './service-paths.ts'
import { failed } from './systemd.ts'

const NAME = /^[a-z_][a-z0-9_-]*\$?$/i

/**
 * Makes the user and the group of the service, where they are absent.
 *
 * @throws ContainerError `NAME_IN_USE` where the name belongs to somebody else; `IO`, `MISSING_TOOL`
 */
export async function makeServiceUser(): Promise<void> {
  const { user, home } = SERVICE
  const input = `u ${user} - "daemon of dat-container" ${home}\n`
  const made = await runCommand('systemd-sysusers', ['-'], { input })
  if (made.exitCode !== 0) throw failed('systemd-sysusers', made)
  const { stdout } = await runCommand('getent', ['passwd', user])
  if (stdout.split(':')[5] === home) return
  throw new ContainerError('NAME_IN_USE', `there is a user ${user} of another kind`, {
    hint: `its home is not ${home}: rename it, or run the daemon without a service`
  })
}

/** Puts a user into the group of those who may use the daemon. @throws ContainerError `NOT_FOUND`, `IO` */
export async function addMember(name: string): Promise<void> {
  const isKnown = NAME.test(name) && (await runCommand('getent', ['passwd', name])).exitCode === 0
  if (!isKnown) {
    throw new ContainerError('NOT_FOUND', `there is no user ${name}`, {
      hint: 'getent passwd lists the users of this machine'
    })
  }
  const added = await runCommand('usermod', ['--append', '--groups', SERVICE.user, name])
  if (added.exitCode !== 0) throw failed('usermod', added)
}

/** Deletes the user and the group of the service, which own nothing any more. @throws ContainerError `IO` */
export async function deleteServiceUser(): Promise<void> {
  const { user } = SERVICE
  for (const [kind, program] of [
    ['passwd', 'userdel'],
    ['group', 'groupdel']
  ] as const) {
    // The group goes with its user unless it has members.
    if ((await runCommand('getent', [kind, user])).exitCode !== 0) continue
    const deleted = await runCommand(program, [user])
    if (deleted.exitCode !== 0) throw failed(program, deleted)
  }
}
