import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { ContainerError } from '../src/core/errors.ts'
import { ADDONS, buildAddon } from './addons.ts'
import { run } from './command.ts'
import { elfMachine, isElf } from './elf.ts'
import { bundledOutside, factsOf, nodePackages, type NodePackage } from './node-packages.ts'
import { PathPatterns } from './patterns.ts'
import { ROOT, SOURCE } from './paths.ts'
import { isNative, toolPrefix, type Target } from './target.ts'
import type { FileTree } from './file-tree.ts'

/** Where the tool lies in the image. */
export const TOOL_FOLDER = 'usr/lib/dat-container'
const COMMAND = 'usr/bin/dat-container'
/**
 * The program's own first line asks for an env(1) that splits words, and the image has busybox's.
 *
 * Addresses are fixed where QEMU emulates the processor (`FIXED_ADDRESSES`). There, code that V8 makes while it
 * runs is dear: QEMU translates it anew each time that it changes. Without V8's compilers a command and the boot of a
 * container take a sixth less processor time. WebAssembly is gone with them; nothing here uses it.
 */
const STARTER = `#!/bin/sh
read -r random < /proc/sys/kernel/randomize_va_space
[ "$random" = 0 ] && compiler='--jitless --no-expose-wasm' || compiler=
exec node $compiler -- /${TOOL_FOLDER}/dist/main.js "$@"
`
const OWNER = { uid: 0, gid: 0 }
const CODE = /\.([cm]?js|json|node|so(\.[0-9.]+)?)$/

/**
 * Adds this tool: its bundled programs, and the packages with native parts that those load, without
 * what other platforms and compilers need. Native parts for another processor than the target's stay
 * out; those that no package brings for it are built.
 *
 * @param headers Debian packages to build native parts with, where some may have to be built
 * @returns the packages
 * @throws ContainerError `NOT_FOUND` where the tool is not built or packages are not installed,
 *   `BAD_SOURCE` where a package has no native part for the target, `IO`, `MISSING_TOOL`
 */
export async function addTool(
  tree: FileTree,
  target: Target,
  headers: readonly string[]
): Promise<NodePackage[]> {
  const programs = join(ROOT, 'dist')
  for (const name of (await namesIn(programs)).sort()) {
    const isProgram = /\.c?js$/.test(name) && !/^chunk-|\//.test(name)
    const content = await readFile(join(programs, name))
    const mode = isProgram ? 0o755 : 0o644
    tree.set(`${TOOL_FOLDER}/dist/${name}`, { kind: 'file', content, mode, ...OWNER })
  }
  tree.set(COMMAND, { kind: 'file', content: Buffer.from(STARTER), mode: 0o755, ...OWNER })
  const facts = { name: 'dat-container', version: await toolVersion(), type: 'module' }
  addFile(tree, 'package.json', Buffer.from(JSON.stringify(facts)))
  const left = new PathPatterns(await readFile(join(SOURCE, 'node-prune.list'), 'utf8'))
  const packages = await nodePackages(left, target)
  for (const { folder, place } of packages) await addFolder({ tree, target, left }, folder, place)
  if (headers.length > 0) await addMissingAddons(tree, target, headers)
  await checkNativeParts(tree, target)
  if (isNative(target)) await checkTool(tree)
  return packages
}

/** Version of this tool, which is that of the image. */
export async function toolVersion(): Promise<string> {
  return (await factsOf(ROOT)).version
}

interface Addition {
  readonly tree: FileTree
  readonly target: Target
  /** What stays out. */
  readonly left: PathPatterns
}

async function addFolder(addition: Addition, folder: string, place: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true })
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name)
    const name = `${place}/${entry.name}`
    // Packages within packages are found by their dependants.
    if (entry.name === 'node_modules' || addition.left.has(name)) continue
    if (entry.isDirectory()) await addFolder(addition, path, name)
    if (!entry.isFile() || !CODE.test(entry.name)) continue
    const content = await readFile(path)
    if (!isElf(content)) addFile(addition.tree, name, content)
    else if (elfMachine(content) === addition.target.elfMachine) {
      addFile(addition.tree, name, await stripped(content, addition.target))
    }
  }
}

async function addMissingAddons(
  tree: FileTree,
  target: Target,
  headers: readonly string[]
): Promise<void> {
  for (const addon of ADDONS) {
    const place = `node_modules/${addon.package}/${addon.place(target)}`
    if (tree.get(`${TOOL_FOLDER}/${place}`) !== undefined) continue
    addFile(tree, place, await stripped(await buildAddon(addon, target, tree, headers), target))
  }
}

/**
 * Each package that the bundle leaves outside has a native part in the image, its own or a
 * dependency's.
 *
 * @throws ContainerError `BAD_SOURCE`
 */
async function checkNativeParts(tree: FileTree, { arch, nodeArch }: Target): Promise<void> {
  const parts = tree.sorted().filter(([path]) => path.endsWith('.node'))
  const missing = (await bundledOutside()).filter((name) => {
    const folders = [name, `@koromix/${name}-linux-${nodeArch}`]
    const places = folders.map((each) => `${TOOL_FOLDER}/node_modules/${each}/`)
    return !parts.some(([path]) => places.some((place) => path.startsWith(place)))
  })
  if (missing.length === 0) return
  throw new ContainerError('BAD_SOURCE', `no native part for ${arch}: ${missing.join(', ')}`, {
    hint: 'tell in os-image/addons.ts how it is built'
  })
}

/**
 * Lays the tool alone into a folder and loads its packages there, with this machine's Node.
 *
 * @throws ContainerError `BAD_SOURCE` where something that was left out is needed
 */
async function checkTool(tree: FileTree): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tool-'))
  try {
    for (const [path, node] of tree.sorted()) {
      if (node.kind !== 'file' || !path.startsWith(`${TOOL_FOLDER}/`)) continue
      const target = join(folder, path.slice(TOOL_FOLDER.length))
      await mkdir(dirname(target), { recursive: true })
      await writeFile(target, node.content)
    }
    // fuse-native looks for a library of the system, which this machine need not have.
    const names = (await bundledOutside()).filter((name) => name !== 'fuse-native')
    const loads = names.map((name) => `await import(${JSON.stringify(name)})`).join('\n')
    await writeFile(join(folder, 'check.mjs'), `${loads}\nprocess.exit(0)\n`)
    await run(process.execPath, [join(folder, 'check.mjs')])
    await run(process.execPath, [join(folder, 'dist/main.js'), '--version'])
  } catch (cause) {
    throw new ContainerError('BAD_SOURCE', 'the tool does not load as it lies in the image', {
      hint: `see what os-image/node-prune.list leaves out: ${(cause as Error).message}`,
      cause
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function addFile(tree: FileTree, place: string, content: Buffer): void {
  tree.set(`${TOOL_FOLDER}/${place}`, { kind: 'file', content, mode: 0o644, ...OWNER })
}

/** A shared object without its symbols for linking and debugging. */
async function stripped(content: Buffer, target: Target): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'strip-'))
  try {
    const path = join(folder, 'stripped')
    await writeFile(path, content)
    await run(`${toolPrefix(target)}strip`, ['--strip-unneeded', path])
    return await readFile(path)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Paths of the files in a folder and below it, from there. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true })
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
  } catch (cause) {
    throw new ContainerError('NOT_FOUND', 'the tool is not built', {
      hint: 'build it: npm run build',
      cause
    })
  }
}
