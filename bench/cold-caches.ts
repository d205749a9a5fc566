import { writeFile } from 'node:fs/promises'
import { execa } from 'execa'

/** Has the kernel forget every file, name and inode that it can read again. Needs root. */
export async function dropKernelCaches(): Promise<void> {
  // Only what is written can be dropped.
  await execa('sync')
  await writeFile('/proc/sys/vm/drop_caches', '3')
}
