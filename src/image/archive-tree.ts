import { badArchive } from './tar-error.ts'
import { checkName, MAX_DEPTH } from './tree-limits.ts'
import { TreeBuilder } from './tree-builder.ts'
import type { InodeContent } from './tree-builder.ts'
import type { InodeAttributes } from './tree.ts'

/** Of directories that an archive does not mention but has something in. */
const IMPLIED_DIRECTORY: InodeAttributes = {
  type: 'directory',
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtimeSeconds: 0,
  mtimeNanoseconds: 0,
  deviceMajor: 0,
  deviceMinor: 0
}
/** Linux's limit; one more is ELOOP. */
const MAX_SYMLINK_HOPS = 40
const SLASH = 0x2f

/** A name still to be walked. */
interface Step {
  readonly name: Buffer
  /** Whether it comes from the archive's path, not from a symlink on the way. */
  readonly isOwn: boolean
}

/**
 * A tree that entries with paths are put into, in any order, as extracting them one after another
 * would: a later entry replaces an earlier one, directories on the way are made, symlinks on the way
 * are followed, but never out of the tree. Archives may lie in layers, of which one removes names of
 * those below.
 */
export class ArchiveTree {
  readonly builder = new TreeBuilder()
  /** Names of every directory, one character a byte. */
  readonly #names = new Map<number, Map<string, number>>([[0, new Map()]])
  readonly #parent = new Map<number, number>([[0, 0]])
  /** Names of every directory that the layer at hand has put something at or below. */
  #touched: Map<number, Set<string>> | undefined

  /**
   * Adds an inode under a path.
   *
   * @returns its number
   * @throws ContainerError `BAD_SOURCE`, `BAD_INDEX` for what Linux could not hold
   */
  put(path: Buffer, attributes: InodeAttributes, content: InodeContent): number {
    const names = splitPath(path)
    const name = names.pop()
    const isDirectory = attributes.type === 'directory'
    if (name === undefined) {
      if (!isDirectory) throw badArchive('its root is no directory')
      return this.#update(0, attributes, content)
    }
    const directory = this.#directoryAt(names)
    const known = this.#namesOf(directory).get(key(name))
    if (known !== undefined && isDirectory && this.builder.type(known) === 'directory') {
      this.#touch(directory, name)
      return this.#update(known, attributes, content)
    }
    return this.#add(directory, name, attributes, content)
  }

  /** Gives the inode at `target`, a path as well, a further name. */
  link(path: Buffer, target: Buffer): void {
    const targetNames = splitPath(target)
    const targetName = targetNames.pop()
    if (targetName === undefined) throw noTarget(path, target)
    const targetDirectory = this.#directoryAt(targetNames, false)
    if (targetDirectory === undefined) throw noTarget(path, target)
    const inode = this.#namesOf(targetDirectory).get(key(targetName))
    if (inode === undefined || this.builder.type(inode) === 'directory') {
      throw noTarget(path, target)
    }
    const names = splitPath(path)
    const name = names.pop()
    if (name === undefined) throw badArchive('its root is no directory')
    checkName(name, 0, name.length)
    this.#setName(this.#directoryAt(names), name, inode)
  }

  /** What is put from now on is a further layer. */
  beginLayer(): void {
    this.#touched = new Map()
  }

  /** Removes what the layers below have at and under a path. */
  removeLower(path: Buffer): void {
    const names = splitPath(path)
    const name = names.pop()
    if (name === undefined) throw badArchive('its root cannot be removed')
    const directory = this.#directoryAt(names, false)
    if (directory === undefined) return
    const inode = this.#namesOf(directory).get(key(name))
    if (inode === undefined) return
    if (!this.#isTouched(directory, key(name))) this.#namesOf(directory).delete(key(name))
    else this.#prune(inode)
  }

  /** Removes what the layers below have in the directory at `path`. */
  removeLowerEntries(path: Buffer): void {
    const directory = this.#directoryAt(splitPath(path), false)
    if (directory !== undefined) this.#prune(directory)
  }

  /**
   * Hands all names to the builder, which is complete then. Inodes that were replaced are dropped.
   *
   * @returns what `TreeBuilder.dropNameless` does
   */
  finish(): Uint32Array {
    const pending = [0]
    for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
      for (const [name, inode] of this.#namesOf(directory)) {
        this.builder.link(directory, Buffer.from(name, 'latin1'), inode)
        if (this.builder.type(inode) === 'directory') pending.push(inode)
      }
    }
    return this.builder.dropNameless()
  }

  #setName(directory: number, name: Buffer, inode: number): void {
    this.#namesOf(directory).set(key(name), inode)
    this.#touch(directory, name)
  }

  #touch(directory: number, name: Buffer): void {
    if (this.#touched === undefined) return
    const names = this.#touched.get(directory)
    if (names === undefined) this.#touched.set(directory, new Set([key(name)]))
    else names.add(key(name))
  }

  #isTouched(directory: number, name: string): boolean {
    return this.#touched?.get(directory)?.has(name) === true
  }

  /** Removes from a directory and those below it every name that is not of the layer at hand. */
  #prune(inode: number): void {
    const pending = [inode]
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const names = this.#names.get(next)
      if (names === undefined) continue
      for (const [name, child] of names) {
        if (this.#isTouched(next, name)) pending.push(child)
        else names.delete(name)
      }
    }
  }

  #add(
    directory: number,
    name: Buffer,
    attributes: InodeAttributes,
    content: InodeContent
  ): number {
    checkName(name, 0, name.length)
    const inode = this.builder.addInode(attributes, content)
    this.#setName(directory, name, inode)
    if (attributes.type === 'directory') {
      this.#names.set(inode, new Map())
      this.#parent.set(inode, directory)
    }
    return inode
  }

  #update(inode: number, attributes: InodeAttributes, content: InodeContent): number {
    this.builder.setAttributes(inode, attributes)
    this.builder.setXattrs(inode, content.xattrs ?? [])
    return inode
  }

  #namesOf(directory: number): Map<string, number> {
    return this.#names.get(directory)!
  }

  /** The directory that a path leads to; missing ones are made. */
  #directoryAt(path: readonly Buffer[]): number
  /** With `make` false, undefined where there is none. */
  #directoryAt(path: readonly Buffer[], make: false): number | undefined
  #directoryAt(path: readonly Buffer[], make = true): number | undefined {
    const pending: Step[] = path.map((name) => ({ name, isOwn: true })).toReversed()
    let directory = 0
    let hops = 0
    for (let step = pending.pop(); step !== undefined; step = pending.pop()) {
      const { name, isOwn } = step
      if (isDot(name)) continue
      if (isDotDot(name)) {
        directory = this.#parent.get(directory)!
        continue
      }
      const child = this.#namesOf(directory).get(key(name))
      if (child === undefined) {
        if (!make) return undefined
        if (!isOwn) throw noDirectory(path)
        directory = this.#add(directory, name, IMPLIED_DIRECTORY, {})
        continue
      }
      const type = this.builder.type(child)
      if (make) this.#touch(directory, name)
      if (type === 'symlink') {
        if (++hops > MAX_SYMLINK_HOPS) throw noDirectory(path)
        const target = this.builder.symlinkTarget(child)
        if (target[0] === SLASH) directory = 0
        const steps = splitNames(target).map((part) => ({ name: part, isOwn: false }))
        pending.push(...steps.toReversed())
      } else if (type === 'directory') {
        directory = child
      } else {
        if (!make) return undefined
        throw noDirectory(path)
      }
    }
    return directory
  }
}

/** The names of an archive's path, which is below the root whether or not it starts with a slash. */
function splitPath(path: Buffer): Buffer[] {
  const names = splitNames(path).filter((name) => !isDot(name))
  if (names.some(isDotDot)) {
    throw badArchive(
      `${path.toString()} leads out of it`,
      'an entry whose path has ".." is not extracted; make the archive without it'
    )
  }
  if (names.length > MAX_DEPTH) throw badArchive('its directories nest too deep')
  return names
}

function splitNames(path: Buffer): Buffer[] {
  const names: Buffer[] = []
  for (let start = 0; start < path.length;) {
    const slash = path.indexOf(SLASH, start)
    const end = slash === -1 ? path.length : slash
    if (end > start) names.push(path.subarray(start, end))
    start = end + 1
  }
  return names
}

function isDot(name: Buffer): boolean {
  return name.length === 1 && name[0] === 0x2e
}

function isDotDot(name: Buffer): boolean {
  return name.length === 2 && name[0] === 0x2e && name[1] === 0x2e
}

function key(name: Buffer): string {
  return name.toString('latin1')
}

function noTarget(path: Buffer, target: Buffer): Error {
  return badArchive(`${path.toString()} is a hardlink to ${target.toString()}, which is not in it`)
}

function noDirectory(path: readonly Buffer[]): Error {
  return badArchive(`${path.map(String).join('/')} is no directory, yet something is below it`)
}
