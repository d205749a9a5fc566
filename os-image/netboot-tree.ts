import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ContainerError } from '../src/core/errors.ts'
import { isElf, neededLibraries } from './elf.ts'
import { FileTree, type TreeNode } from './file-tree.ts'
import { libraryFolders } from './image-tree.ts'
import { SOURCE } from './paths.ts'
import type { Target } from './target.ts'

const OWNER = { uid: 0, gid: 0 }
const FOLDERS = ['netboot', 'proc']
/** `bin` and the like, links into `usr`. */
const LINKS = ['bin', 'lib', 'lib64', 'sbin']
const BUSYBOX = 'busybox: '
/** Where an ELF file names its loader, on any architecture. */
const LOADER = /^usr\/lib(64)?\/ld-linux[\w.-]+$/

/**
 * The files of a netboot's first stage, which checks the initrd before it starts it: `netboot/init`, and
 * what `netboot.list` names of the initrd's own files.
 *
 * @param image all files of the initrd
 * @throws ContainerError `BAD_SOURCE` for what the initrd does not have
 */
export async function netbootTree(image: FileTree, target: Target): Promise<FileTree> {
  const stage = new FileTree()
  const source = { image, folders: libraryFolders(target) }
  const loaders = image.sorted().flatMap(([path]) => (LOADER.test(path) ? [path] : []))
  const links = LINKS.filter((path) => image.get(path) !== undefined)
  for (const path of [...links, ...loaders]) take(source, stage, path)
  const lines = (await readFile(join(SOURCE, 'netboot.list'), 'utf8')).split('\n')
  for (const line of lines) {
    if (line === '' || line.startsWith('#')) continue
    if (!line.startsWith(BUSYBOX)) {
      take(source, stage, line)
      continue
    }
    for (const name of line.slice(BUSYBOX.length).split(' ')) {
      stage.set(`usr/bin/${name}`, { kind: 'symlink', target: 'busybox', mode: 0o777, ...OWNER })
    }
  }
  for (const path of FOLDERS) stage.set(path, { kind: 'directory', mode: 0o755, ...OWNER })
  const content = await readFile(join(SOURCE, 'netboot/init'))
  stage.set('init', { kind: 'file', content, mode: 0o755, ...OWNER })
  stage.set('dev/console', { kind: 'character', mode: 0o600, major: 5, minor: 1, ...OWNER })
  return stage
}

interface Source {
  readonly image: FileTree
  /** Where libraries lie. */
  readonly folders: readonly string[]
}

/** Copies a file, what it links to, and the libraries that it needs. */
function take(source: Source, stage: FileTree, path: string): void {
  if (stage.get(path) !== undefined) return
  const { image, folders } = source
  const node = image.get(path)
  if (node === undefined) {
    throw new ContainerError('BAD_SOURCE', `the initrd has no ${path}`, {
      hint: 'see os-image/netboot.list and os-image/packages.list'
    })
  }
  stage.set(path, node)
  if (node.kind === 'symlink') takeTarget(source, stage, path, node.target)
  for (const library of librariesOf(node)) {
    const folder = folders.find((each) => image.get(`${each}/${library}`) !== undefined)
    take(source, stage, `${folder}/${library}`)
  }
}

function takeTarget(source: Source, stage: FileTree, path: string, target: string): void {
  const resolved = new URL(target, `file:///${path}`).pathname.slice(1)
  // Folders come with what is in them.
  if (source.image.get(resolved)?.kind !== 'directory') take(source, stage, resolved)
}

function librariesOf(node: TreeNode): string[] {
  return node.kind === 'file' && isElf(node.content) ? neededLibraries(node.content) : []
}
