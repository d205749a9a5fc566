import { TreeBuilder } from '../../src/image/tree/tree-builder.ts'
import type { ColumnTree } from '../../src/image/tree/column-tree.ts'
import { CHUNK_BYTES } from '../../src/image/tree/tree.ts'
import { driveEntries } from '../../src/p2p/drive/drive-entries.ts'

/** The last three are shown alike: two are not UTF-8, and one has a backslash. `a-` stands before `a/`. */
const NAMES = ['a', 'a-', 'b', '\xc3\xa9', 'f\xfe', 'f\xff', 'f\\'].map((name) =>
  Buffer.from(name, 'latin1')
)

/** A small tree; those of two seeds often have names in common, of the same type or of another. */
export function randomTree(next: () => number): ColumnTree {
  const pick = (count: number): number => Math.floor(next() * count)
  const builder = new TreeBuilder()
  for (let n = 0; n < 12; n++) builder.addChunk(n >> 1, 100, false, (n & 1) * 100)
  const fill = (directory: number, depth: number): void => {
    for (const name of NAMES) {
      const kind = pick(depth < 3 ? 5 : 4)
      const attributes = {
        mode: [0o644, 0o755][pick(2)]!,
        uid: 0,
        gid: 0,
        mtimeSeconds: pick(2),
        mtimeNanoseconds: 0,
        deviceMajor: 0,
        deviceMinor: 0
      }
      if (kind === 0) continue
      if (kind === 1) {
        const inode = builder.addInode(
          { ...attributes, type: 'symlink' },
          { symlinkTarget: NAMES[pick(2)]! }
        )
        builder.link(directory, name, inode)
      } else if (kind === 4) {
        const inode = builder.addInode({ ...attributes, type: 'directory' }, {})
        builder.link(directory, name, inode)
        fill(inode, depth + 1)
      } else {
        const chunks = pick(4)
        const extents = [{ position: 0, chunk: pick(12 - chunks), count: chunks }]
        const size = chunks * CHUNK_BYTES
        const content = { size, extents: chunks === 0 ? [] : extents }
        builder.link(directory, name, builder.addInode({ ...attributes, type: 'file' }, content))
      }
    }
  }
  fill(0, 0)
  return builder.finish()
}

/** What a reader may be shown under a name; two names that are shown alike are one entry. */
export function choices(tree: ColumnTree): Map<string, Set<string>> {
  const shown = new Map<string, Set<string>>()
  for (const [name, text] of driveEntries(tree)) {
    const values = shown.get(name) ?? new Set()
    shown.set(name, values.add(text))
  }
  return shown
}
