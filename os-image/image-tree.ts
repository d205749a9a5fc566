import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { ContainerError } from '../src/core/errors.ts'
import { elfMachine, isElf, neededLibraries } from './elf.ts'
import { FileTree } from './file-tree.ts'
import type { NodePackage } from './node-packages.ts'
import { PathPatterns } from './patterns.ts'
import { SOURCE } from './paths.ts'
import type { Target } from './target.ts'
import { addTool } from './tool.ts'
import { trimIcu } from './trim-icu.ts'
import { unpackPackage } from './unpack.ts'

const COPYRIGHT = /^usr\/share\/doc\/([^/]+)\/copyright$/
const OWNER = { uid: 0, gid: 0 }

export interface ImageTree {
  readonly tree: FileTree
  readonly nodePackages: readonly NodePackage[]
  /** Text of each Debian package's copyright file. */
  readonly copyrights: ReadonlyMap<string, string>
}

/**
 * All files of the initrd: of packages, less what the prune list names; of this tool; and those of
 * `rootfs/`, which replace what packages have.
 *
 * @param debs paths of package files
 * @param headers packages to build native parts with, where some may have to be built
 * @throws ContainerError `BAD_SOURCE` when a program lacks a library, `NOT_FOUND`, `IO`
 */
export async function imageTree(
  target: Target,
  debs: readonly string[],
  headers: readonly string[]
): Promise<ImageTree> {
  const tree = new FileTree()
  for (const deb of debs) await unpackPackage(deb, tree)
  const copyrights = takeCopyrights(tree)
  prune(tree, new PathPatterns(await readFile(join(SOURCE, 'prune.list'), 'utf8')))
  await trimIcu(tree, target)
  const nodePackages = await addTool(tree, target, headers)
  await addBusyboxNames(tree)
  await overlay(tree, join(SOURCE, 'rootfs'), '')
  tree.set('dev/console', { kind: 'character', mode: 0o600, major: 5, minor: 1, ...OWNER })
  checkLibraries(tree, target)
  checkNode(tree)
  return { tree, nodePackages, copyrights }
}

/** Where a target's loader looks. */
export function libraryFolders({ triplet }: Target): string[] {
  return [`usr/lib/${triplet}`, 'usr/lib64', 'usr/lib', `usr/lib/${triplet}/systemd`]
}

function takeCopyrights(tree: FileTree): Map<string, string> {
  const found = new Map<string, string>()
  for (const [path, node] of tree.sorted()) {
    const name = COPYRIGHT.exec(path)?.[1]
    if (name !== undefined && node.kind === 'file') found.set(name, node.content.toString())
  }
  return found
}

function prune(tree: FileTree, list: PathPatterns): void {
  const all = tree.sorted()
  const kept = new Set<string>()
  for (const [path, node] of all) {
    if (node.kind === 'directory' || list.has(path)) continue
    for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) kept.add(at)
  }
  for (const [path, node] of all) {
    // Folders that packages left empty stay, such as mount points.
    const isEmptied = node.kind === 'directory' && all.some(([each]) => each.startsWith(`${path}/`))
    if (kept.has(path) || (node.kind === 'directory' && !isEmptied && !list.has(path))) continue
    tree.delete(path)
  }
}

async function addBusyboxNames(tree: FileTree): Promise<void> {
  const lines = (await readFile(join(SOURCE, 'busybox.list'), 'utf8')).split('\n')
  for (const line of lines) {
    const [folder, names] = line.split(': ')
    if (line.startsWith('#') || folder === undefined || names === undefined) continue
    for (const name of names.split(' ')) {
      const path = `${folder}/${name}`
      if (tree.get(path)) continue
      tree.set(path, { kind: 'symlink', target: '/usr/bin/busybox', mode: 0o777, ...OWNER })
    }
  }
}

async function overlay(tree: FileTree, folder: string, name: string): Promise<void> {
  for (const entry of (await readdir(folder)).sort()) {
    const from = join(folder, entry)
    const path = name === '' ? entry : `${name}/${entry}`
    const stat = await lstat(from)
    if (stat.isDirectory()) {
      await overlay(tree, from, path)
    } else if (stat.isSymbolicLink()) {
      const target = await readlink(from)
      tree.set(path, { kind: 'symlink', target, mode: 0o777, ...OWNER })
    } else {
      const isProgram = (stat.mode & 0o100) !== 0
      const content = await readFile(from)
      tree.set(path, { kind: 'file', content, mode: modeOf(path, isProgram), ...OWNER })
    }
  }
}

/** Version control keeps of a mode only whether a file is a program. */
function modeOf(path: string, isProgram: boolean): number {
  if (path === 'etc/shadow') return 0o600
  return isProgram ? 0o755 : 0o644
}

/** Scripts of packages do not run and dependencies are a list: what is missing must show here. */
function checkLibraries(tree: FileTree, target: Target): void {
  const { arch, elfMachine: wanted } = target
  const places = libraryFolders(target)
  const missing: string[] = []
  const foreign: string[] = []
  for (const [path, node] of tree.sorted()) {
    if (node.kind !== 'file' || !isElf(node.content)) continue
    if (elfMachine(node.content) !== wanted) foreign.push(path)
    for (const library of neededLibraries(node.content)) {
      const beside = path.slice(0, path.lastIndexOf('/'))
      const folders = [...places, beside]
      if (!folders.some((folder) => tree.get(`${folder}/${library}`))) {
        missing.push(`${path} needs ${library}`)
      }
    }
  }
  if (foreign.length > 0) {
    throw new ContainerError('BAD_SOURCE', `not for ${arch}: ${foreign.join('; ')}`, {
      hint: 'prune them, in os-image/prune.list or os-image/node-prune.list'
    })
  }
  if (missing.length === 0) return
  throw new ContainerError('BAD_SOURCE', `libraries are missing: ${missing.join('; ')}`, {
    hint: 'add the packages that have them to os-image/packages.list, or prune what needs them'
  })
}

/** Debian's Node reads some of its own JavaScript from files of other packages, by these paths. */
const NODE_FILE = /\/usr\/share\/nodejs\/[\w./-]+\.js/g
const NODE_LIBRARY = /^usr\/lib\/[^/]+-linux-gnu\/libnode\.so\./

function checkNode(tree: FileTree): void {
  const library = tree.sorted().find(([path]) => NODE_LIBRARY.test(path))?.[1]
  const text = library?.kind === 'file' ? library.content.toString('latin1') : ''
  const missing = [...text.matchAll(NODE_FILE)]
    .map(([path]) => path.slice(1))
    .filter((path) => tree.get(path) === undefined)
  if (missing.length === 0) return
  throw new ContainerError('BAD_SOURCE', `Node does not start without ${missing.join(', ')}`, {
    hint: 'add the packages that have them to os-image/packages.list, or keep them in prune.list'
  })
}
