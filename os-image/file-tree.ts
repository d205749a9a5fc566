import { posix } from 'node:path'
import { ContainerError } from '../src/core/errors.ts'

interface NodeBase {
  /** Permission bits, set-id and sticky bits included. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

export interface TreeFile extends NodeBase {
  readonly kind: 'file'
  readonly content: Buffer
}

export interface TreeSymlink extends NodeBase {
  readonly kind: 'symlink'
  readonly target: string
}

export interface TreeDirectory extends NodeBase {
  readonly kind: 'directory'
}

export interface TreeDevice extends NodeBase {
  readonly kind: 'character'
  readonly major: number
  readonly minor: number
}

export type TreeNode = TreeFile | TreeSymlink | TreeDirectory | TreeDevice

/** These are links into `usr`; packages may name what is in them either way. */
const MERGED = /^(bin|sbin|lib|lib64)\//

/**
 * The files of an image, in memory, by path without a slash at either end. Nothing of it touches the
 * build machine's file system, so owners and devices need no root.
 */
export class FileTree {
  readonly #nodes = new Map<string, TreeNode>()

  /** Adds a node or replaces the one that stood there. Folders above it that are missing come too. */
  set(path: string, node: TreeNode): void {
    const merged = path.replace(MERGED, 'usr/$1/')
    const parent = merged.slice(0, Math.max(0, merged.lastIndexOf('/')))
    if (parent !== '' && this.#nodes.get(parent)?.kind !== 'directory') {
      if (this.#nodes.has(parent)) {
        throw new ContainerError(
          'BAD_SOURCE',
          `${merged} would lie in ${parent}, which is no folder`
        )
      }
      this.set(parent, { kind: 'directory', mode: 0o755, uid: 0, gid: 0 })
    }
    // A package that names a folder again does not change what was said of it.
    if (node.kind === 'directory' && this.#nodes.get(merged)?.kind === 'directory') return
    this.#nodes.set(merged, node)
  }

  get(path: string): TreeNode | undefined {
    return this.#nodes.get(path.replace(MERGED, 'usr/$1/'))
  }

  /**
   * What a file has, or the one that links lead to.
   *
   * @throws ContainerError `NOT_FOUND`
   */
  content(path: string): Buffer {
    const node = this.get(path)
    if (node?.kind === 'file') return node.content
    if (node?.kind === 'symlink')
      return this.content(posix.resolve('/', posix.dirname(path), node.target).slice(1))
    throw new ContainerError('NOT_FOUND', `the packages have no ${path}`, {
      hint: 'name the package that has it in os-image/packages.list'
    })
  }

  delete(path: string): void {
    this.#nodes.delete(path)
  }

  /** All nodes, sorted by the bytes of their paths: a folder comes before what is in it. */
  sorted(): [path: string, node: TreeNode][] {
    return [...this.#nodes].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  }
}
