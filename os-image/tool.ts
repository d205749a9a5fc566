import { mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { ContainerError, systemErrorCode } from '../src/image/errors.ts'
import { run } from './command.ts'
import { isElf } from './elf.ts'
import { parseNames } from './packages.ts'
import { PathPatterns } from './patterns.ts'
import { ROOT, SOURCE } from './paths.ts'
import type { FileTree } from './file-tree.ts'

/** Where the tool lies in the image. */
export const TOOL_FOLDER = 'usr/lib/dat-container'
const COMMAND = 'usr/bin/dat-container'
const OWNER = { uid: 0, gid: 0 }
const CODE = /\.([cm]?js|json|node|so(\.[0-9.]+)?)$/

/** An npm package in the image. */
export interface NodePackage {
  readonly name: string
  readonly version: string
  readonly license: string
  /** Its folder here. */
  readonly folder: string
}

interface PackageFacts {
  readonly name: string
  readonly version: string
  readonly license?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/**
 * Adds this tool: its bundled programs, and the packages with native parts that those load, without
 * what other platforms and compilers need.
 *
 * @returns the packages
 * @throws ContainerError `NOT_FOUND` where the tool is not built or packages are not installed
 */
export async function addTool(tree: FileTree): Promise<NodePackage[]> {
  const programs = join(ROOT, 'dist')
  for (const name of (await namesIn(programs)).sort()) {
    const isProgram = !name.startsWith('chunk-')
    const content = await readFile(join(programs, name))
    const mode = isProgram ? 0o755 : 0o644
    tree.set(`${TOOL_FOLDER}/dist/${name}`, { kind: 'file', content, mode, ...OWNER })
  }
  tree.set(COMMAND, {
    kind: 'symlink',
    target: '../lib/dat-container/dist/main.js',
    mode: 0o777,
    ...OWNER
  })
  const facts = { name: 'dat-container', version: await toolVersion(), type: 'module' }
  tree.set(`${TOOL_FOLDER}/package.json`, {
    kind: 'file',
    content: Buffer.from(JSON.stringify(facts)),
    mode: 0o644,
    ...OWNER
  })
  const left = new PathPatterns(await readFile(join(SOURCE, 'node-prune.list'), 'utf8'))
  const packages = await nodePackages(left)
  for (const { folder } of packages) await addFolder(tree, folder, left)
  await checkTool(tree)
  return packages
}

/** Version of this tool, which is that of the image. */
export async function toolVersion(): Promise<string> {
  return (await factsOf(ROOT)).version
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

/** Names of the packages that the bundle leaves outside. */
async function bundledOutside(): Promise<string[]> {
  return parseNames(await readFile(join(SOURCE, 'node-packages.list'), 'utf8'))
}

/** Native packages that the bundle leaves outside, and what those depend on, sorted by folder. */
async function nodePackages(left: PathPatterns): Promise<NodePackage[]> {
  const wanted = (await bundledOutside()).map((name) => ({ name, from: ROOT, isOptional: false }))
  const found = new Map<string, NodePackage>()
  for (let next = wanted.shift(); next !== undefined; next = wanted.shift()) {
    const folder = await packageFolder(next.name, next.from)
    if (folder === undefined) {
      if (next.isOptional) continue
      throw new ContainerError('NOT_FOUND', `the npm package ${next.name} is not installed`, {
        hint: 'install them: npm install --no-save'
      })
    }
    if (found.has(folder) || left.has(relative(ROOT, folder))) continue
    const facts = await factsOf(folder)
    const { name, version, license = 'see its files' } = facts
    found.set(folder, { name, version, license, folder })
    for (const each of Object.keys(facts.dependencies ?? {})) {
      wanted.push({ name: each, from: folder, isOptional: false })
    }
    for (const each of Object.keys(facts.optionalDependencies ?? {})) {
      wanted.push({ name: each, from: folder, isOptional: true })
    }
  }
  return [...found.values()].sort((a, b) => (a.folder < b.folder ? -1 : 1))
}

/** Finds a package as Node does: in `node_modules` of the folder at hand, then of those above. */
async function packageFolder(name: string, from: string): Promise<string | undefined> {
  for (let at = from; at.length >= ROOT.length - 1; at = dirname(at)) {
    try {
      return await realpath(join(at, 'node_modules', name))
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error
    }
  }
  return undefined
}

async function addFolder(tree: FileTree, folder: string, left: PathPatterns): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true })
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name)
    const name = relative(ROOT, path)
    // Packages within packages are found by their dependants.
    if (entry.name === 'node_modules' || left.has(name)) continue
    if (entry.isDirectory()) await addFolder(tree, path, left)
    if (!entry.isFile() || !CODE.test(entry.name)) continue
    const content = await readFile(path)
    tree.set(`${TOOL_FOLDER}/${name}`, {
      kind: 'file',
      content: isElf(content) ? await stripped(path) : content,
      mode: 0o644,
      ...OWNER
    })
  }
}

/** A shared object without its symbols for linking and debugging. */
async function stripped(path: string): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'strip-'))
  try {
    const target = join(folder, 'stripped')
    await run('strip', ['--strip-unneeded', '-o', target, path])
    return await readFile(target)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function factsOf(folder: string): Promise<PackageFacts> {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as PackageFacts
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (cause) {
    throw new ContainerError('NOT_FOUND', 'the tool is not built', {
      hint: 'build it: npm run build',
      cause
    })
  }
}
