import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ContainerError, systemErrorCode } from './errors.ts'

/**
 * Writes a file so that it is whole or absent: a temporary file beside it, flushed, then renamed.
 *
 * @param mode permission bits of the file @default 0o600
 * @throws ContainerError `DISK_FULL`, `IO`
 */
export async function writeFileAtomically(
  path: string,
  content: string | Uint8Array,
  mode = 0o600
): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  try {
    const file = await open(temporary, 'w', mode)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (cause) {
    await rm(temporary, { force: true })
    if (systemErrorCode(cause) === 'ENOSPC') {
      throw new ContainerError('DISK_FULL', `the disk that holds ${dirname(path)} is full`, {
        hint: 'free some space and try again',
        cause
      })
    }
    throw new ContainerError('IO', `cannot write ${path}: ${systemErrorCode(cause)}`, { cause })
  }
}
