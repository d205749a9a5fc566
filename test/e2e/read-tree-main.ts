/**
 * Reads a directory once, and prints the hash of all that it found.
 *
 *   node read-tree-main.js (read|mmap|walk) DIRECTORY
 *
 * A process of its own: a mount that does not answer stops whoever reads it. `begun` on standard output comes
 * before the first access.
 */
import { createHash } from 'node:crypto'
import { closeSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { readMapped } from '../fuse/system-calls.ts'

const [how = '', directory = ''] = process.argv.slice(2)
const hash = createHash('sha256')

function readByMapping(path: string, bytes: number): Buffer {
  const fd = openSync(path, 'r')
  try {
    return readMapped(fd, bytes)
  } finally {
    closeSync(fd)
  }
}

writeSync(1, 'begun\n')
const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).toSorted()
for (const name of names) {
  const path = join(directory, name)
  const status = statSync(path)
  hash.update(`${name} ${status.mode} ${status.size} ${status.mtimeMs}\n`)
  if (how === 'walk' || !status.isFile()) continue
  hash.update(how === 'mmap' ? readByMapping(path, status.size) : readFileSync(path))
}
writeSync(1, hash.digest('hex'))
