import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { takeLock, type KernelLock } from '../src/core/host/kernel-lock.ts'
import { ContainerError } from '../src/core/errors.ts'
import { CACHE } from './paths.ts'

/** Another build makes a kernel meanwhile, at worst on a slow machine. */
const WAIT_MS = 2 * 60 * 60_000

/**
 * Takes the cache for one build: apt has one set of lists in it, and a kernel that another checkout
 * is making is worth waiting for.
 *
 * @throws ContainerError `BUSY` when another build has it for hours
 */
export async function lockCache(note: (text: string) => void): Promise<KernelLock> {
  await mkdir(CACHE, { recursive: true })
  const path = join(CACHE, 'lock')
  const free = await takeLock(path)
  if (free !== undefined) return free
  note('another build uses the cache: waiting for it')
  const lock = await takeLock(path, { waitMs: WAIT_MS })
  if (lock !== undefined) return lock
  throw new ContainerError('BUSY', `another build has ${path} for hours`, {
    hint: 'end that build'
  })
}
