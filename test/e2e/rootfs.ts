import { existsSync } from 'node:fs'
import { join } from 'node:path'

/**
 * A Debian root filesystem with systemd, made by scripts/rootfs.sh.
 *
 * @throws Error when there is none: no test is skipped for it
 */
export function debianRootfs(): string {
  const path =
    process.env['DAT_CONTAINER_TEST_ROOTFS'] ?? join(process.cwd(), '.cache/debian-rootfs')
  if (existsSync(join(path, 'etc/os-release'))) return path
  throw new Error(`no root filesystem at ${path}: run scripts/rootfs.sh`)
}
