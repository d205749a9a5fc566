import { readFile, realpath } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { ContainerError, systemErrorCode } from '../src/core/errors.ts'
import { fetchNodePackage } from './fetch-node-package.ts'
import { parseNames } from './packages.ts'
import { PathPatterns } from './patterns.ts'
import { ROOT, SOURCE } from './paths.ts'
import type { Target } from './target.ts'

/** An npm package in the image. */
export interface NodePackage {
  readonly name: string
  readonly version: string
  readonly license: string
  /** Its folder here. */
  readonly folder: string
  /** Its folder below the tool's in the image, as `node_modules/koffi`. */
  readonly place: string
}

interface PackageFacts {
  readonly name: string
  readonly version: string
  readonly license?: string
  /** Node's names of the processors that it is for; all where it names none. */
  readonly cpu?: readonly string[]
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** Names of the packages that the bundle leaves outside. */
export async function bundledOutside(): Promise<string[]> {
  return parseNames(await readFile(join(SOURCE, 'node-packages.list'), 'utf8'))
}

/** @param folder of a package */
export async function factsOf(folder: string): Promise<PackageFacts> {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as PackageFacts
}

/**
 * Native packages that the bundle leaves outside, and what those depend on, sorted by their places.
 * Packages that npm installs for the target's processor alone are fetched where they are not here.
 *
 * @param left what stays out of the image
 * @throws ContainerError `NOT_FOUND` where packages are not installed, `IO`, `BAD_SOURCE`
 */
export async function nodePackages(left: PathPatterns, target: Target): Promise<NodePackage[]> {
  const wanted = (await bundledOutside()).map((name) => ({ name, from: ROOT, isOptional: false }))
  const found = new Map<string, NodePackage>()
  for (let next = wanted.shift(); next !== undefined; next = wanted.shift()) {
    const at = await findPackage(next.name, next.from, target)
    if (at === undefined) {
      if (next.isOptional) continue
      throw new ContainerError('NOT_FOUND', `the npm package ${next.name} is not installed`, {
        hint: 'install them: npm install --no-save'
      })
    }
    const { folder, place } = at
    if (found.has(place) || left.has(place)) continue
    const facts = await factsOf(folder)
    if (facts.cpu?.includes(target.nodeArch) === false) continue
    const { name, version, license = 'see its files' } = facts
    found.set(place, { name, version, license, folder, place })
    for (const each of Object.keys(facts.dependencies ?? {})) {
      wanted.push({ name: each, from: folder, isOptional: false })
    }
    for (const each of Object.keys(facts.optionalDependencies ?? {})) {
      wanted.push({ name: each, from: folder, isOptional: true })
    }
  }
  return [...found.values()].sort((a, b) => (a.place < b.place ? -1 : 1))
}

/** Finds a package as Node does: in `node_modules` of the folder at hand, then of those above. */
async function findPackage(
  name: string,
  from: string,
  target: Target
): Promise<Pick<NodePackage, 'folder' | 'place'> | undefined> {
  for (let at = from; at.length >= ROOT.length - 1; at = dirname(at)) {
    try {
      const folder = await realpath(join(at, 'node_modules', name))
      return { folder, place: relative(ROOT, folder) }
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error
    }
  }
  const folder = await fetchNodePackage(name, target)
  return folder === undefined ? undefined : { folder, place: `node_modules/${name}` }
}
