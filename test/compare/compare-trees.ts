import { FACT_CLASSES, printable, readTreeFacts } from './tree-facts.ts'
import type { FactClass, Facts, TreeFacts } from './tree-facts.ts'

export interface CompareOptions {
  /** What one of the two cannot express. Whoever leaves a class out shows why. @default none */
  readonly without?: readonly FactClass[]
  /** Paths below the roots that are left out with all that is in them, as latin1. @default none */
  readonly skip?: readonly string[]
}

/**
 * Every difference between two directories: one line each, `path: class: a | b`, or which side lacks
 * a path. Names are bytes, everything is read by lstat and through no mount of this very process.
 * Paths may be longer than PATH_MAX. The classes are {@link FACT_CLASSES}; all count unless left out.
 *
 * Holes show on ext4, xfs, btrfs, tmpfs, EROFS, and an overlay of these. On FUSE mounts that do not
 * answer lseek(2) a file has none.
 *
 * @returns lines in order of path; none when the trees are equal
 */
export async function compareTrees(
  a: string,
  b: string,
  { without = [], skip = [] }: CompareOptions = {}
): Promise<string[]> {
  const skipped = new Set(skip)
  const [left, right] = await Promise.all([readTreeFacts(a, skipped), readTreeFacts(b, skipped)])
  return compareFacts(left, right, without)
}

/** The differences of two trees that were read, as {@link compareTrees} tells them. */
export function compareFacts(
  left: TreeFacts,
  right: TreeFacts,
  without: readonly FactClass[] = []
): string[] {
  const classes = FACT_CLASSES.filter((name) => !without.includes(name))
  const lines: string[] = []
  for (const path of [...new Set([...left.keys(), ...right.keys()])].sort()) {
    lines.push(...differences(printable(path), classes, left.get(path), right.get(path)))
  }
  return lines
}

function differences(
  path: string,
  classes: readonly FactClass[],
  a: Facts | undefined,
  b: Facts | undefined
): string[] {
  if (a === undefined) return [`${path}: only in the second`]
  if (b === undefined) return [`${path}: only in the first`]
  // Two types have nothing else to compare.
  const compared = a.get('type') === b.get('type') ? classes : (['type'] as const)
  return compared
    .filter((name) => a.get(name) !== b.get(name))
    .map((name) => `${path}: ${name}: ${shown(a.get(name))} | ${shown(b.get(name))}`)
}

const SHOWN_CHARACTERS = 300

function shown(fact: string | undefined): string {
  if (fact === undefined) return 'none'
  const text = printable(fact)
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text
}
