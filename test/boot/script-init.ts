import { chmodSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tinyRootfs } from '../e2e/tiny-rootfs.ts'

/** An init as of busybox or of a script: it works, and tells nobody when it is up. */
const WRITES = `trap 'exit 0' TERM
echo "boot of $(cat /proc/sys/kernel/random/uuid)" >> /wrote
while :; do sleep 0.1; done`

/**
 * A root filesystem of a few megabytes whose init is a shell script.
 *
 * @param script what the init does @default writes a line to /wrote, then waits for SIGTERM
 * @param programs that it calls, besides those of every tiny root
 */
export function scriptInitRootfs(script = WRITES, programs: readonly string[] = []): string {
  const rootfs = tinyRootfs(mkdtempSync(join(tmpdir(), 'dc-silent-')), programs)
  mkdirSync(join(rootfs, 'usr/sbin'))
  symlinkSync('usr/sbin', join(rootfs, 'sbin'))
  writeFileSync(join(rootfs, 'usr/sbin/init'), `#!/bin/sh\n${script}\n`)
  chmodSync(join(rootfs, 'usr/sbin/init'), 0o755)
  return rootfs
}
