import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

/** What the page consists of, as `scripts/bundle.ts` makes it from `src/page`. */
const FILES = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/page.js': ['page.js', 'text/javascript; charset=utf-8'],
  '/page.css': ['page.css', 'text/css; charset=utf-8'],
  '/icon.svg': ['icon.svg', 'image/svg+xml']
} as const

export interface PageFile {
  readonly type: string
  readonly bytes: Buffer
}

/** Reads the files of the page, by the paths at which they are served. @throws the system's error */
export async function readPageFiles(): Promise<ReadonlyMap<string, PageFile>> {
  // Bundled, the programs and the page are in one folder.
  const bundled = fileURLToPath(new URL('./page/', import.meta.url))
  const folder = existsSync(bundled)
    ? bundled
    : fileURLToPath(new URL('../../../../dist/page/', import.meta.url))
  const read = Object.entries(FILES).map(
    async ([path, [name, type]]): Promise<[string, PageFile]> => [
      path,
      { type, bytes: await readFile(`${folder}${name}`) }
    ]
  )
  return new Map(await Promise.all(read))
}
