import { readdirSync, rmSync, type Dirent } from 'node:fs'
import { basename, dirname, join } from 'node:path'

const MODULES = 'node_modules'
const PREBUILDS = 'prebuilds'
/** What Node.js loads; the builds beside it are for another runtime. */
const ADDON = '.node'

/**
 * Removes builds of native modules that this machine's Node.js cannot load from the modules that are an installed
 * package's own, which is how `npm install --global` lays them out. Modules that others may use, and those of a
 * working copy, are left alone.
 *
 * @param folder of the package
 * @param system as `linux-x64`
 * @returns what was removed
 */
export function removeForeignBuilds(folder: string, system: string): string[] {
  if (basename(dirname(folder)) !== MODULES) return []
  return foreignBuilds(join(folder, MODULES), system).map((path) => {
    rmSync(path, { recursive: true })
    return path
  })
}

function foreignBuilds(modules: string, system: string): string[] {
  return directories(modules).flatMap((name) => {
    const folder = join(modules, name)
    // A scope holds packages as the folder of modules does.
    if (name.startsWith('@')) return foreignBuilds(folder, system)
    const builds = join(folder, PREBUILDS)
    const [own, others] = [join(builds, system), directories(builds).filter((it) => it !== system)]
    return [
      ...others.map((other) => join(builds, other)),
      ...entries(own).flatMap((it) => (it.name.endsWith(ADDON) ? [] : [join(own, it.name)])),
      ...foreignBuilds(join(folder, MODULES), system)
    ]
  })
}

/** Names of the directories in one; what is linked is not ours. */
function directories(path: string): string[] {
  return entries(path).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
}

function entries(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true })
  } catch {
    return []
  }
}
