import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { foreignUnit, textOf } from './install-service.ts'
import { SERVICE } from './service-paths.ts'
import { deleteServiceUser } from './service-user.ts'
import { requireSystemd, systemctl } from './systemd.ts'
import { MARK } from './unit-text.ts'

export interface Uninstalled {
  /** Whether there was a service. */
  readonly uninstalled: boolean
  /** What is left: the home of the daemon, with its images and keys; null where that is gone, too. */
  readonly home: string | null
}

/**
 * Stops the service and takes its unit and its configuration away.
 *
 * @param options.purge also its images, its keys, its user and its group
 * @throws ContainerError `MISSING_TOOL` without systemd; `NAME_IN_USE`, `IO`
 */
export async function uninstallService({
  purge
}: {
  readonly purge: boolean
}): Promise<Uninstalled> {
  requireSystemd()
  const unit = textOf(SERVICE.unitFile)
  if (unit !== '' && !unit.startsWith(MARK)) throw foreignUnit()
  if (unit !== '') {
    await systemctl('disable', '--now', SERVICE.unit)
    await rm(SERVICE.unitFile)
    // Drop-ins of `systemctl edit` would apply to the next service.
    await rm(`${SERVICE.unitFile}.d`, { recursive: true, force: true })
    await systemctl('daemon-reload')
    await systemctl('reset-failed', SERVICE.unit).catch(() => {})
  }
  await rm(SERVICE.config, { force: true })
  if (purge) {
    await rm(SERVICE.home, { recursive: true, force: true })
    await deleteServiceUser()
  }
  return { uninstalled: unit !== '', home: existsSync(SERVICE.home) ? SERVICE.home : null }
}
