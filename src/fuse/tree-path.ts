import type { Tree } from '../image/tree.ts'

/** Directories remembered; an image has few enough, and a scan of more starts over. */
const MAX_DIRECTORIES = 65_536
const REPLACEMENT = '\uFFFD'

/**
 * Finds inodes by path strings, as fuse-native hands them out. Remembers directories, so that a path
 * costs one binary search once its directory is known.
 *
 * Names that are not UTF-8 arrive with U+FFFD in place of what does not decode; such a name finds the
 * first entry that decodes alike.
 */
export class TreePaths {
  readonly #tree: Tree
  readonly #directories = new Map<string, number>([['', 0]])

  constructor(tree: Tree) {
    this.#tree = tree
  }

  /** @param path absolute, no `.`, `..` or trailing slash; `/` for the root */
  find(path: string): number | undefined {
    if (path === '/') return 0
    const slash = path.lastIndexOf('/')
    const directory = this.#findDirectory(path.slice(0, slash))
    return directory === undefined ? undefined : this.#child(directory, path.slice(slash + 1))
  }

  #findDirectory(path: string): number | undefined {
    const known = this.#directories.get(path)
    if (known !== undefined) return known
    const slash = path.lastIndexOf('/')
    const parent = this.#findDirectory(path.slice(0, slash))
    if (parent === undefined) return undefined
    const directory = this.#child(parent, path.slice(slash + 1))
    if (directory === undefined || this.#tree.type(directory) !== 'directory') return undefined
    if (this.#directories.size >= MAX_DIRECTORIES) {
      this.#directories.clear()
      this.#directories.set('', 0)
    }
    this.#directories.set(path, directory)
    return directory
  }

  #child(directory: number, name: string): number | undefined {
    const found = this.#tree.lookup(directory, Buffer.from(name))
    if (found !== undefined || !name.includes(REPLACEMENT)) return found
    const first = this.#tree.firstEntry(directory)
    const end = first + this.#tree.directoryEntryCount(directory)
    for (let entry = first; entry < end; entry++) {
      if (decodeName(this.#tree.entryName(entry)) === name) return this.#tree.entryInode(entry)
    }
    return undefined
  }
}

/** A name as fuse-native shows it. */
export function decodeName(name: Uint8Array): string {
  return Buffer.from(name.buffer, name.byteOffset, name.length).toString()
}
