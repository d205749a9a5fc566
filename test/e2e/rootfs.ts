import { existsSync, realpathSync } from 'node:fs'
import { join } from 'node:path'

/**
 * A Debian root filesystem with systemd, made by scripts/rootfs.sh.
 *
 * @throws Error when there is none: no test is skipped for it
 */
export function debianRootfs(): string {
  const path =
    process.env['DAT_CONTAINER_TEST_ROOTFS'] ?? join(process.cwd(), '.cache/debian-rootfs')
  // Where it is a link, `cp -a` would copy that, and tests would change the original.
  if (existsSync(join(path, 'etc/os-release'))) return realpathSync(path)
  throw new Error(`no root filesystem at ${path}: run scripts/rootfs.sh`)
}
