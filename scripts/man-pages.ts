/**
 * Writes the manual pages, from the same texts as `--help`: `build/man/dat-container.1` and one a verb.
 *
 *   node build/scripts/man-pages.js
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createProgram } from '../src/cli/program.ts'
import { RELEASE } from '../src/rpc/release.ts'
import { manPages } from './man-page.ts'

const TARGET = fileURLToPath(new URL('../man', import.meta.url))

await rm(TARGET, { recursive: true, force: true })
await mkdir(TARGET, { recursive: true })
for (const { name, text } of manPages(createProgram(), RELEASE)) {
  await writeFile(join(TARGET, name), text)
}
