import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, copyFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { execa } from 'execa'

/** The Debian release that HyperOS is made of. */
const RELEASE = 'trixie'
const PACKAGES = ['linux-image-cloud-amd64', 'initramfs-tools', 'busybox', 'zstd']

/**
 * Debian's kernel for clouds with the initramfs that its packages make when they are installed. Made
 * once, as root, and kept in `.cache/stock-debian`.
 */
export async function stockDebian(): Promise<{ kernel: string; initrd: string }> {
  const cache = resolve('.cache/stock-debian')
  const stock = { kernel: join(cache, 'vmlinuz'), initrd: join(cache, 'initrd') }
  if (existsSync(stock.kernel) && existsSync(stock.initrd)) return stock
  console.log(`installing Debian's ${PACKAGES[0]} into a folder, once`)
  const partial = `${cache}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  const root = join(partial, 'root')
  const include = `--include=${PACKAGES.join(',')}`
  const flags = ['--quiet', '--mode=root', '--variant=minbase', include, RELEASE, root]
  await execa('mmdebstrap', flags, { stdout: 'ignore', stderr: 'inherit' })
  for (const [prefix, name] of [
    ['vmlinuz-', 'vmlinuz'],
    ['initrd.img-', 'initrd']
  ] as const) {
    const found = readdirSync(join(root, 'boot')).find((file) => file.startsWith(prefix))
    if (found === undefined) throw new Error(`the packages made no ${prefix}…`)
    copyFileSync(join(root, 'boot', found), join(partial, name))
  }
  rmSync(root, { recursive: true })
  rmSync(cache, { recursive: true, force: true })
  renameSync(partial, cache)
  return stock
}
