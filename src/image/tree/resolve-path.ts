import type { Tree } from './tree.ts'

/** Linux's limit; one more is ELOOP. */
const MAX_SYMLINK_HOPS = 40
const SLASH = 0x2f

export interface ResolveOptions {
  /** Whether a symlink at the end of the path is followed; those before it are. @default true */
  readonly followSymlinks?: boolean
}

/**
 * The inode a path leads to, as chroot(2) into the tree would see it: symlinks, absolute ones too,
 * are resolved inside the tree, and `..` of the root is the root.
 *
 * @param path with or without a leading slash; bytes, or text that is taken as UTF-8
 * @returns undefined where Linux says ENOENT, ENOTDIR or ELOOP
 */
export function resolvePath(
  tree: Tree,
  path: string | Uint8Array,
  { followSymlinks = true }: ResolveOptions = {}
): number | undefined {
  // Names still to be walked, the next one last.
  const pending: Buffer[] = []
  const bytes = Buffer.from(path as string)
  pushNames(bytes, pending)
  // "name/" is the directory behind name, even where name is a symlink.
  const followLast = followSymlinks || bytes.at(-1) === SLASH
  const mustBeDirectory = bytes.at(-1) === SLASH
  // Where the walk went; parents of directories are in the tree.
  let inode = 0
  let hops = 0
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (tree.type(inode) !== 'directory') return undefined
    if (name.equals(DOT)) continue
    if (name.equals(DOT_DOT)) {
      inode = tree.parent(inode)
      continue
    }
    const child = tree.lookup(inode, name)
    if (child === undefined) return undefined
    if (tree.type(child) === 'symlink' && (pending.length > 0 || followLast)) {
      if (++hops > MAX_SYMLINK_HOPS) return undefined
      const target = tree.symlinkTarget(child)
      if (target[0] === SLASH) inode = 0
      pushNames(Buffer.from(target), pending)
      // The walk goes on in the directory that holds the symlink.
      continue
    }
    inode = child
  }
  return mustBeDirectory && tree.type(inode) !== 'directory' ? undefined : inode
}

const DOT = Buffer.from('.')
const DOT_DOT = Buffer.from('..')

function pushNames(path: Buffer, pending: Buffer[]): void {
  const names: Buffer[] = []
  let start = 0
  while (start <= path.length) {
    const slash = path.indexOf(SLASH, start)
    const end = slash === -1 ? path.length : slash
    if (end > start) names.push(path.subarray(start, end))
    start = end + 1
  }
  for (const name of names.toReversed()) pending.push(name)
}
