/**
 * A list of paths, one a line: `*` stands for anything within a name, `**` for anything at all; what
 * begins with `!` is kept after all. `#` begins a comment. The last line that fits a path decides.
 */
export class PathPatterns {
  readonly #rules: { readonly pattern: RegExp; readonly isHit: boolean }[]

  constructor(text: string) {
    this.#rules = text
      .split('\n')
      .map((line) => line.replace(/#.*/, '').trim())
      .filter((line) => line !== '')
      .map((line) => ({
        pattern: toPattern(line.replace(/^!/, '')),
        isHit: !line.startsWith('!')
      }))
  }

  /** Whether a path, or a folder above it, is on the list. */
  has(path: string): boolean {
    return this.#rules.findLast(({ pattern }) => pattern.test(path))?.isHit ?? false
  }
}

function toPattern(glob: string): RegExp {
  const body = glob
    .split(/(\*\*|\*|\?)/)
    .map((part) => {
      if (part === '**') return '.*'
      if (part === '*') return '[^/]*'
      if (part === '?') return '[^/]'
      return part.replace(/[.+^${}()|[\]\\]/g, '\\$&')
    })
    .join('')
  return new RegExp(`^${body}(/.*)?$`)
}
