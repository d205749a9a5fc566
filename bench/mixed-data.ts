import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * Fills a directory with copies of a tree's files until it holds so many bytes. Each copy puts a line
 * before every file, so that none of its chunks is one of another copy.
 *
 * @param from whose regular files are copied; those of 100 MiB and more are not
 */
export function copyWithVariation(from: string, to: string, bytes: number): void {
  const options = { encoding: 'utf8', maxBuffer: 1e9 } as const
  const found = execFileSync(
    'find',
    [from, '-xdev', '-type', 'f', '-size', '-100M', '-print0'],
    options
  )
  const files = found.split('\0').filter((path) => path !== '')
  if (files.length === 0) throw new Error(`${from} has no files`)
  let left = bytes
  for (let copy = 0; left > 0; copy++) {
    for (const path of files) {
      if (left <= 0) break
      const content = Buffer.concat([Buffer.from(`copy ${copy}\n`), readFileSync(path)])
      const target = join(to, String(copy), path)
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, content)
      left -= content.length
    }
  }
}
