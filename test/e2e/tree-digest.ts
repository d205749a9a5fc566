import { execa } from 'execa'

/**
 * One line an entry of a tree: type, mode, owner, size, links, time, target, and the hash of every
 * file. Read by other processes, as a synchronous read in a process that serves a mount would hang.
 *
 * @returns lines in order of path, for comparing two trees
 */
export async function treeDigest(directory: string): Promise<string[]> {
  const line = '%P %y %m %U %G %n %T@'
  const files = ['-type', 'f', '-printf', `${line} %s\\n`]
  const listing = await execa('find', ['.', ...files, '-o', '-printf', `${line} %l\\n`], {
    cwd: directory
  })
  const hashes = await execa({
    cwd: directory,
    shell: true
  })`find . -type f -print0 | sort -z | xargs -0 sha256sum`
  return [...listing.stdout.split('\n').toSorted(), ...hashes.stdout.split('\n')]
}
