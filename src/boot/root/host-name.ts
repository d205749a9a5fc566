import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Bind } from '../state/bind-option.ts'
import { statInRoot } from './rootfs-path.ts'

const PATH = '/etc/hostname'

/**
 * Shows the host name that was asked for in place of the image's, which an init would set. One that has none needs
 * nothing.
 *
 * @param root the container's, on the host
 * @param directory of this run, for the file
 */
export async function hostnameBinds(
  root: string,
  directory: string,
  hostname: string | undefined
): Promise<Bind[]> {
  if (hostname === undefined || (await statInRoot(root, PATH)) === undefined) return []
  const source = join(directory, 'hostname')
  await writeFile(source, `${hostname}\n`, { mode: 0o644 })
  return [{ source, target: PATH, readOnly: true }]
}
