import type { TreeFacts } from './tree-facts.ts'

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
