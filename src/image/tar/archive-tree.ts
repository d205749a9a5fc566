import { badArchive } from './tar-error.ts'
import { checkName } from '../tree/tree-limits.ts'
import { ArchiveDirectory } from './archive-directory.ts'
import { followPath, nameKey, splitPath } from './archive-path.ts'
import { isContainerError } from '../../core/errors.ts'
import type { ArchiveEntry } from './archive-directory.ts'
import type { ArchivePlace } from './archive-path.ts'
import { TreeBuilder } from '../tree/tree-builder.ts'
import type { InodeContent } from '../tree/tree-builder.ts'
import type { InodeAttributes } from '../tree/tree.ts'

/** Directories that an archive does not mention but has something in. */
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
const ROOT = 0

/**
 * A tree that entries with paths are put into, in any order, as extracting them one after another
 * would: a later entry replaces an earlier one, directories on the way are made, symlinks on the way
 * are followed, but never out of the tree.
 *
 * Archives may lie in layers. Each is then a tree of its own, in which no path follows what the layers below hold,
 * and is laid over them as overlayfs does it (docs/decisions/0034-layers-by-themselves.md).
 */
export class ArchiveTree {
  readonly builder = new TreeBuilder()
  readonly #whole = new ArchiveDirectory(ROOT, true)
  /** The layer at hand; the whole tree where there are no layers. */
  #layer = this.#whole

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
      if (!isDirectory) throw badArchive('its root is not a directory')
      return this.#update(ROOT, attributes, content)
    }
    const directory = this.#directoryAt(names)
    const known = directory.entries.get(nameKey(name))
    if (known instanceof ArchiveDirectory && isDirectory) {
      known.isNamed = true
      return this.#update(known.inode, attributes, content)
    }
    checkName(name, 0, name.length)
    const inode = this.builder.addInode(attributes, content)
    directory.entries.set(nameKey(name), isDirectory ? new ArchiveDirectory(inode, true) : inode)
    return inode
  }

  /**
   * Gives the inode at `target`, which is a path too, another name. A target that the current layer removes gets
   * none, because its other name then names the mark of the removal.
   */
  link(path: Buffer, target: Buffer): void {
    const inode = this.#find(target)
    if (inode === undefined) throw noTarget(path, target)
    const names = splitPath(path)
    const name = names.pop()
    if (name === undefined) throw badArchive('its root is not a directory')
    checkName(name, 0, name.length)
    const directory = this.#directoryAt(names)
    if (inode === 'removed') {
      directory.entries.delete(nameKey(name))
      directory.remove(nameKey(name))
    } else directory.entries.set(nameKey(name), inode)
  }

  /** What is put from now on is a further layer. */
  beginLayer(): void {
    this.#endLayer()
    this.#layer = new ArchiveDirectory(ROOT, true)
  }

  /**
   * Removes what the layers below have at and under a path. Below what is no directory in the layer at hand
   * they show nothing anyway.
   */
  removeLower(path: Buffer): void {
    const names = splitPath(path)
    const name = names.pop()
    if (name === undefined) throw badArchive('its root cannot be removed')
    checkName(name, 0, name.length)
    if (this.#placeOf(this.#layer, names) !== undefined) {
      this.#directoryAt(names).remove(nameKey(name))
    }
  }

  /** Removes what the layers below have in the directory at `path`. */
  removeLowerEntries(path: Buffer): void {
    const names = splitPath(path)
    if (this.#placeOf(this.#layer, names) !== undefined) this.#directoryAt(names).isOpaque = true
  }

  /** Forgets what the layer at hand has under a name of its root; of what has another name, that stays. */
  forget(name: string): void {
    this.#layer.entries.delete(name)
  }

  /**
   * Hands all names to the builder, which is complete then. Inodes that were replaced are dropped.
   *
   * @returns what `TreeBuilder.dropNameless` does
   */
  finish(): Uint32Array {
    this.#endLayer()
    const pending = [this.#whole]
    for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
      for (const [name, entry] of directory.entries) {
        const inode = entry instanceof ArchiveDirectory ? entry.inode : entry
        this.builder.link(directory.inode, Buffer.from(name, 'latin1'), inode)
        if (entry instanceof ArchiveDirectory) pending.push(entry)
      }
    }
    return this.builder.dropNameless()
  }

  #endLayer(): void {
    if (this.#layer !== this.#whole) this.#whole.cover(this.#layer)
    this.#layer = this.#whole
  }

  #update(inode: number, attributes: InodeAttributes, content: InodeContent): number {
    this.builder.setAttributes(inode, attributes)
    this.builder.setXattrs(inode, content.xattrs ?? [])
    return inode
  }

  /** The directory of the layer at hand that a path leads to; missing ones are made. */
  #directoryAt(path: readonly Buffer[]): ArchiveDirectory {
    const { directories, names } = this.#follow(this.#layer, path)
    let directory = directories.at(-1)!
    for (const name of names.slice(directories.length - 1)) {
      const bytes = Buffer.from(name, 'latin1')
      checkName(bytes, 0, bytes.length)
      const next = new ArchiveDirectory(this.builder.addInode(IMPLIED_DIRECTORY), false)
      directory.entries.set(name, next)
      directory = next
    }
    return directory
  }

  /** The inode at a path, in the layer at hand or, where it has nothing there, in those below. */
  #find(path: Buffer): number | 'removed' | undefined {
    const names = splitPath(path)
    const last = names.pop()
    if (last === undefined) return undefined
    const name = nameKey(last)
    const place = this.#placeOf(this.#layer, names)
    if (place === undefined) return undefined
    const entry = entryAt(place, name)
    if (entry !== undefined) return entry instanceof ArchiveDirectory ? undefined : entry
    const { directories } = place
    const way = [...place.names, name]
    if (directories.length === way.length && directories.at(-1)!.hides(name)) return 'removed'
    if (directories.some((directory, depth) => directory.hides(way[depth]!))) return undefined
    const below = this.#placeOf(
      this.#whole,
      place.names.map((text) => Buffer.from(text, 'latin1'))
    )
    const lower = below && entryAt(below, name)
    return lower instanceof ArchiveDirectory ? undefined : lower
  }

  #placeOf(root: ArchiveDirectory, path: readonly Buffer[]): ArchivePlace | undefined {
    try {
      return this.#follow(root, path)
    } catch (error) {
      if (isContainerError(error, 'BAD_SOURCE')) return undefined
      throw error
    }
  }

  #follow(root: ArchiveDirectory, path: readonly Buffer[]): ArchivePlace {
    return followPath(root, path, (inode) =>
      this.builder.type(inode) === 'symlink' ? this.builder.symlinkTarget(inode) : undefined
    )
  }
}

function entryAt({ directories, names }: ArchivePlace, name: string): ArchiveEntry | undefined {
  return directories.length > names.length ? directories.at(-1)!.entries.get(name) : undefined
}

function noTarget(path: Buffer, target: Buffer): Error {
  return badArchive(`${path.toString()} is a hardlink to ${target.toString()}, which is not in it`)
}
