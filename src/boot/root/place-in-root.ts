import { lstat, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../../core/errors.ts'

/** How many symlinks Linux follows before ELOOP. */
const HIGHEST_LINK_COUNT = 40

/** The result of resolving a path inside a tree. */
export interface PlaceInRoot {
  /** Host path of the last that is there on the way; no symlink. */
  readonly existing: string
  /** Names below it that are missing; none where all of the path is there. */
  readonly missing: readonly string[]
  /** The path in the tree, without symlinks. */
  readonly path: string
}

/**
 * Follows `path` inside the tree at `root`, as a process with that root would: absolute symlinks and `..` stay
 * within, those of what is missing too. Nothing may change the tree meanwhile: the container does not run.
 *
 * @returns undefined for a loop of symlinks
 */
export async function followInRoot(root: string, path: string): Promise<PlaceInRoot | undefined> {
  const pending = path.split('/').filter(Boolean)
  let resolved: string[] = []
  let existing = 0
  let links = 0
  while (pending.length > 0) {
    const part = pending.shift()
    if (part === undefined || part === '.') continue
    if (part === '..') {
      resolved.pop()
      existing = Math.min(existing, resolved.length)
      continue
    }
    resolved.push(part)
    if (existing < resolved.length - 1) continue
    const candidate = join(root, ...resolved)
    const stats = await lstat(candidate).catch(ignoreAbsent)
    if (stats === undefined) continue
    if (!stats.isSymbolicLink()) {
      existing = resolved.length
      continue
    }
    if (++links > HIGHEST_LINK_COUNT) return undefined
    const target = await readlink(candidate)
    resolved = target.startsWith('/') ? [] : resolved.slice(0, -1)
    existing = resolved.length
    pending.unshift(...target.split('/').filter(Boolean))
  }
  return {
    existing: join(root, ...resolved.slice(0, existing)),
    missing: resolved.slice(existing),
    path: `/${resolved.join('/')}`
  }
}

function ignoreAbsent(error: unknown): undefined {
  if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemErrorCode(error) ?? '')) return undefined
  throw error
}
