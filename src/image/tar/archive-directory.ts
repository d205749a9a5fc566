/** What a directory of an archive holds under a name: an inode's number, or a directory. */
export type ArchiveEntry = number | ArchiveDirectory

/** A directory of an archive's tree, or of one of the layers that such a tree is made of. */
export class ArchiveDirectory {
  inode: number
  /** Whether an entry of the archive says what it is, not only something below it. */
  isNamed: boolean
  /** By their names, one character a byte. */
  readonly entries = new Map<string, ArchiveEntry>()
  /** Whether all that the layers below have in it is gone. */
  isOpaque = false
  #removed: Set<string> | undefined

  constructor(inode: number, isNamed: boolean) {
    this.inode = inode
    this.isNamed = isNamed
  }

  /** Says that what the layers below have under a name is gone. */
  remove(name: string): void {
    this.#removed ??= new Set()
    this.#removed.add(name)
  }

  /** Whether the layers below show nothing under a name. */
  hides(name: string): boolean {
    return this.isOpaque || this.#removed?.has(name) === true
  }

  /**
   * Lays a directory of a layer, with all that is below it, over this one of the layers below, as overlayfs
   * shows them: directories become one, everything else is replaced. `above` must not be used afterwards.
   */
  cover(above: ArchiveDirectory): void {
    const pending: [ArchiveDirectory, ArchiveDirectory][] = [[this, above]]
    for (let pair = pending.pop(); pair !== undefined; pair = pending.pop()) {
      const [low, high] = pair
      if (high.isNamed) low.inode = high.inode
      if (high.isOpaque) low.entries.clear()
      for (const name of high.#removed ?? []) low.entries.delete(name)
      for (const [name, entry] of high.entries) {
        const under = low.entries.get(name)
        if (entry instanceof ArchiveDirectory && under instanceof ArchiveDirectory) {
          pending.push([under, entry])
        } else low.entries.set(name, entry)
      }
    }
  }
}
