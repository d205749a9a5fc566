import { chmodSync, existsSync, readFileSync } from 'node:fs'
import { ContainerError } from '../core/errors.ts'
import { writeFileAtomically } from '../core/atomic-file.ts'
import { withSettings } from './service-config.ts'
import { SERVICE } from './service-paths.ts'
import { addMember, makeServiceUser } from './service-user.ts'
import { isServiceActive, requireSystemd, startService, systemctl } from './systemd.ts'
import { MARK, unitText, type ServiceProgram } from './unit-text.ts'

const READABLE_BY_ALL = 0o644

/** A file that an installation writes. */
export interface ServiceFile {
  readonly path: string
  readonly text: string
}

/** The two files of an installation. */
export interface ServicePlan {
  readonly unit: ServiceFile
  readonly config: ServiceFile
}

export interface InstallOptions {
  readonly plan: ServicePlan
  /** Users who may use the daemon from now on. */
  readonly members: readonly string[]
  /** Whether a daemon must start again to go by another configuration. */
  readonly needsRestart: (before: string, after: string) => boolean
}

/** What an installation did with the service. */
export type Installed = 'started' | 'restarted' | 'reloaded' | 'unchanged'

/**
 * Plans an installation.
 *
 * @param settings added to those that the service has
 * @throws ContainerError `NAME_IN_USE` where a unit of this name was made by somebody else
 */
export function planService(
  program: ServiceProgram,
  settings: Readonly<Record<string, string>>
): ServicePlan {
  const unit = textOf(SERVICE.unitFile)
  if (unit !== '' && !unit.startsWith(MARK)) throw foreignUnit()
  return {
    unit: { path: SERVICE.unitFile, text: unitText(program) },
    config: { path: SERVICE.config, text: withSettings(textOf(SERVICE.config), settings) }
  }
}

/**
 * Installs the service, or gives one that is there other settings: it is started again only if these need that.
 *
 * @throws ContainerError `MISSING_TOOL` without systemd; `NAME_IN_USE`, `NOT_FOUND`, `IO`
 */
export async function installService(options: InstallOptions): Promise<Installed> {
  requireSystemd()
  const { plan, members, needsRestart } = options
  const before = { unit: textOf(plan.unit.path), config: textOf(plan.config.path) }
  await makeServiceUser()
  for (const member of members) await addMember(member)
  for (const { path, text } of [plan.config, plan.unit]) {
    if (textOf(path) !== text) await writeFileAtomically(path, text)
    // Whatever root's umask is: the daemon reads its configuration.
    chmodSync(path, READABLE_BY_ALL)
  }
  const hasNewUnit = before.unit !== plan.unit.text
  if (hasNewUnit) await systemctl('daemon-reload')
  await systemctl('enable', SERVICE.unit)
  if (!(await isServiceActive())) {
    // An earlier failure counts against its restarts.
    await systemctl('reset-failed', SERVICE.unit).catch(() => {})
    await startService('start')
    return 'started'
  }
  if (hasNewUnit || needsRestart(before.config, plan.config.text)) {
    await startService('restart')
    return 'restarted'
  }
  if (before.config === plan.config.text) return 'unchanged'
  await systemctl('reload', SERVICE.unit)
  return 'reloaded'
}

/** A file's text; empty where there is none. */
export function textOf(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

/** The error for a unit that this program did not write. */
export function foreignUnit(): ContainerError {
  return new ContainerError('NAME_IN_USE', `${SERVICE.unitFile} is not from an installation`, {
    hint: 'rename that unit first'
  })
}
