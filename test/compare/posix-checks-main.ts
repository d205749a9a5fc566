/**
 * Runs the checks against a directory and prints a line for each: what the calls answered and what
 * is there then. `plant DIR` makes what they find in the lower layer, `run DIR` runs them. As root.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { CHECKS } from './posix-checks.ts'
import { Place, STATES } from './posix-place.ts'

const [, , what = '', directory = ''] = process.argv

process.umask(0o022)
for (const [number, [name, check]] of Object.entries(CHECKS).entries()) {
  for (const state of STATES) {
    const place = new Place(join(directory, `${number}-${state}`))
    if (what === 'plant') {
      mkdirSync(place.path)
      if (state !== 'upper') place.plant()
      continue
    }
    if (state === 'upper') place.plant()
    if (state === 'copied') place.copyUp()
    process.stdout.write(`${name}, ${state}: ${check(place).join(' | ')}\n`)
  }
}
