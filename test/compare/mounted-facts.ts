import type { Facts, TreeFacts } from './tree-facts.ts'

const MILLISECOND = 1_000_000n

/**
 * What any mount has to show of a tree: all of it but what an overlay would take for its own word. An
 * image must not tell the overlay that a container lays on it what to hide, and where to look instead.
 */
export function asMounted(tree: TreeFacts): TreeFacts {
  const isShown = (xattr: string): boolean => !xattr.startsWith('trusted.overlay.')
  return new Map(
    [...tree].map(([path, facts]) => {
      const xattrs = facts.get('xattrs')!
      // Most have none; names and values of those planted have no space in them.
      if (!xattrs.includes('trusted.overlay.')) return [path, facts]
      return [path, new Map(facts).set('xattrs', xattrs.split(' ').filter(isShown).join(' '))]
    })
  )
}

/**
 * What a plain FUSE mount has to show of a tree: all of it but what fuse-native cannot carry. Its stat
 * takes times as an unsigned count of milliseconds, its names and targets are UTF-8 strings of
 * JavaScript, and it has no lseek, so to the kernel a file is data from end to end.
 */
export function asPlainFuse(tree: TreeFacts): TreeFacts {
  return new Map([...tree].map(([path, facts]) => [decoded(path), asPlainFile(facts)]))
}

function asPlainFile(facts: Facts): Facts {
  const plain: Facts = new Map(facts)
  const mtime = BigInt(facts.get('mtime')!)
  plain.set('mtime', `${mtime < 0n ? 0n : mtime - (mtime % MILLISECOND)}`)
  if (facts.has('holes')) plain.set('holes', `0-${facts.get('size')}`)
  for (const name of ['target', 'hardlinks'] as const) {
    const fact = facts.get(name)
    if (fact !== undefined) plain.set(name, decoded(fact))
  }
  return plain
}

/** U+FFFD for what is not UTF-8. */
function decoded(latin1: string): string {
  return Buffer.from(Buffer.from(latin1, 'latin1').toString()).toString('latin1')
}
