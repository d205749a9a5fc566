import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { execa } from 'execa'
import type { Workload } from './workload.ts'

/** What is made for the benchmarks is kept here; delete it to have it made anew. */
export const CACHE = resolve('.cache/workloads')

/** Makes a workload's root filesystem, or finds the one that was made. Run from the project's root. */
export async function treeOf(workload: Workload): Promise<string> {
  const { name, packages, variant = 'minbase', hooks = [] } = workload
  const recipe = createHash('sha256').update(JSON.stringify({ packages, variant, hooks }))
  const tree = join(CACHE, `${name}-${recipe.digest('hex').slice(0, 8)}`)
  if (existsSync(tree)) return tree
  console.log(`making the root filesystem of ${name}`)
  const partial = `${tree}.partial`
  await mkdir(CACHE, { recursive: true })
  await rm(partial, { recursive: true, force: true })
  await execa('mmdebstrap', [
    ...['--quiet', '--mode=root', `--variant=${variant}`, `--include=${packages.join(',')}`],
    ...hooks.map((hook) => `--customize-hook=${hook}`),
    ...['bookworm', partial]
  ])
  await rename(partial, tree)
  return tree
}
