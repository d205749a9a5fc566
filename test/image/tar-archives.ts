import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { scanDirectory } from '../../src/image/source/directory-source.ts'
import { writeVersion } from '../../src/image/publish/write-version.ts'
import { openTar } from '../../src/image/tar/tar-source.ts'
import { MemoryStore } from './memory-store.ts'
import { plantTree, setXattr } from './planted-tree.ts'
import { treeLines } from './tree-lines.ts'
import type { PublishSource } from '../../src/image/source/publish-source.ts'

/** One of everything an archive can hold: all that a directory can, but for sockets. */
export function plantForTar(root: string): void {
  mkdirSync(root)
  plantTree(root)
  rmSync(join(root, 'socket'))
  const long = join(root, ...Array.from({ length: 5 }, (_, i) => `${i}`.repeat(120)))
  mkdirSync(long, { recursive: true })
  writeFileSync(join(long, 'y'.repeat(200)), 'far down')
  symlinkSync('t'.repeat(300), join(long, 'long-target'))
  // Cut to the 100 bytes of a header's name, its path ends in a slash as a directory's does.
  mkdirSync(join(root, 'd'.repeat(97)))
  writeFileSync(join(root, 'd'.repeat(97), 'file'), 'no directory')
  writeFileSync(join(root, 'line\nbreak'), 'x')
  execFileSync('setfacl', ['-m', 'u:1234:r--,g:99:rwx', join(root, 'noise')])
  execFileSync('setfacl', ['-d', '-m', 'u:4321:r-x', join(root, 'empty')])
  // cap_net_raw+ep, as ping has it.
  const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex')
  setXattr(join(root, 'hard2'), 'security.capability', capability)
}

/** Extracts as root does who wants everything. */
export function extract(
  archive: string,
  directory: string,
  program: 'tar' | 'bsdtar' = 'tar'
): void {
  mkdirSync(directory)
  const all = ['--xattrs', '--acls', '--numeric-owner', '--same-owner', '-p']
  if (program === 'tar') all.push('--xattrs-include=*')
  execFileSync(program, ['-x', ...all, '-f', archive, '-C', directory], { stdio: 'pipe' })
}

/** What publishing a directory makes of it. */
export async function directoryLines(path: string): Promise<string[]> {
  return linesOf(await scanDirectory(path))
}

/** What publishing an archive makes of it. */
export async function archiveLines(path: string): Promise<string[]> {
  return linesOf(await openTar(path))
}

async function linesOf(source: PublishSource): Promise<string[]> {
  const store = new MemoryStore()
  const { tree } = await writeVersion(source, store, { name: 'test', threads: 1 })
  return treeLines(tree, store.reader(tree))
}
