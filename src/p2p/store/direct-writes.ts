import { constants } from 'node:fs'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../../core/errors.ts'

/**
 * Whether the file system of a directory writes past the page cache (`O_DIRECT` of open(2)): ramfs, older
 * tmpfs and some network file systems do not, and RocksDB does not open there when told to.
 *
 * @param directory created when absent
 */
export async function takesDirectWrites(directory: string): Promise<boolean> {
  if (process.platform !== 'linux') return false
  const path = join(directory, '.direct-writes')
  try {
    await mkdir(directory, { recursive: true })
    const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_DIRECT)
    await file.close()
    return true
  } catch (error) {
    // Other failures show again when the store is opened.
    if (systemErrorCode(error) === undefined) throw error
    return false
  } finally {
    await rm(path, { force: true }).catch(() => {})
  }
}
