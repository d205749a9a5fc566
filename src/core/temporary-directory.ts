import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ContainerError, systemErrorCode } from './errors.ts'
import type { CleanupStack } from './cleanup-stack.ts'

/**
 * Makes a directory of this user's alone in TMPDIR. It is removed by `cleanup`, and where the process
 * exits without that.
 *
 * @throws ContainerError `IO`
 */
export async function temporaryDirectory(cleanup: CleanupStack): Promise<string> {
  let path: string
  try {
    path = await mkdtemp(join(tmpdir(), 'dat-container-'))
  } catch (cause) {
    const code = systemErrorCode(cause)
    throw new ContainerError('IO', `cannot make a directory in ${tmpdir()}: ${code}`, {
      hint: 'set TMPDIR to a directory that may be written to',
      cause
    })
  }
  const removeNow = (): void => rmSync(path, { recursive: true, force: true })
  process.once('exit', removeNow)
  cleanup.defer(async () => {
    process.off('exit', removeNow)
    await rm(path, { recursive: true, force: true })
  })
  return path
}
