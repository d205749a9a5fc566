import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/** A process that uses something below a directory. */
export interface MountUser {
  readonly pid: number
  /** Name of its program, as the kernel tells it. */
  readonly name: string
}

/**
 * Finds the processes that use a directory or something below it as working directory, root, program or open file,
 * as far as this process may see that.
 *
 * @param directory its real path
 */
export function usersBelow(directory: string): MountUser[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && uses(join('/proc', name), directory))
    .map((name) => ({ pid: Number(name), name: programOf(join('/proc', name)) }))
}

function uses(place: string, directory: string): boolean {
  const links = ['cwd', 'root', 'exe', ...namesIn(join(place, 'fd')).map((fd) => `fd/${fd}`)]
  return links.some((link) => {
    const target = targetOf(join(place, link))
    return target === directory || target.startsWith(`${directory}/`)
  })
}

/** Empty for a process that is gone, or is none of ours to look at. */
function namesIn(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

function targetOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

function programOf(place: string): string {
  try {
    return readFileSync(join(place, 'comm'), 'utf8').trim()
  } catch {
    return '?'
  }
}
