import { constants } from 'node:fs'
import { lstat, open, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../image/errors.ts'

/** As many as Linux follows before ELOOP. */
const HIGHEST_LINK_COUNT = 40

/**
 * Where `path` leads inside the tree at `root`, as a process with that root would see it: absolute
 * symlinks and `..` stay within. Gives the host path of the final target, which is no symlink, or
 * undefined when there is none. The tree may change meanwhile: use the answer to look, not to guard.
 */
export async function resolveInRoot(root: string, path: string): Promise<string | undefined> {
  const pending = path.split('/').filter(Boolean)
  let resolved: string[] = []
  let links = 0
  while (pending.length > 0) {
    const part = pending.shift()
    if (part === undefined || part === '.') continue
    if (part === '..') {
      resolved.pop()
      continue
    }
    const candidate = join(root, ...resolved, part)
    const stats = await lstat(candidate).catch(ignoreAbsent)
    if (stats === undefined) return undefined
    if (!stats.isSymbolicLink()) {
      resolved.push(part)
      continue
    }
    if (++links > HIGHEST_LINK_COUNT) return undefined
    const target = await readlink(candidate)
    if (target.startsWith('/')) resolved = []
    pending.unshift(...target.split('/').filter(Boolean))
  }
  return join(root, ...resolved)
}

/**
 * The text of a small regular file inside the tree, or undefined when there is none. Never waits on
 * a fifo or a device that the tree's owner put in its place.
 */
export async function readTextInRoot(
  root: string,
  path: string,
  limitBytes = 1024 * 1024
): Promise<string | undefined> {
  const resolved = await resolveInRoot(root, path)
  if (resolved === undefined) return undefined
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const file = await open(resolved, flags).catch(ignoreAbsent)
  if (file === undefined) return undefined
  try {
    if (!(await file.stat()).isFile()) return undefined
    const { buffer, bytesRead } = await file.read(Buffer.alloc(limitBytes), 0, limitBytes, 0)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}

function ignoreAbsent(error: unknown): undefined {
  const code = systemErrorCode(error) ?? ''
  if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'ESRCH'].includes(code)) return undefined
  throw error
}
