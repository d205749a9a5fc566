import test from 'brittle'
import { TreeBuilder } from '../../src/image/tree-builder.ts'
import type { ColumnTree } from '../../src/image/column-tree.ts'
import { CHUNK_BYTES } from '../../src/image/tree.ts'
import { changedDriveEntries, driveEntries, isBlurred } from '../../src/p2p/drive-entries.ts'
import { random } from '../image/trees.ts'

const ROUNDS = 400
/** The last three are shown alike: two are not UTF-8, and one has a backslash. `a-` stands before `a/`. */
const NAMES = ['a', 'a-', 'b', '\xc3\xa9', 'f\xfe', 'f\xff', 'f\\'].map((name) =>
  Buffer.from(name, 'latin1')
)

/** A small tree; those of two seeds often have names in common, of the same type or of another. */
function randomTree(next: () => number): ColumnTree {
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

const textOf = (tree: ColumnTree): Map<string, string> => new Map(driveEntries(tree))

/** What a reader may be shown under a name; two names that are shown alike are one entry. */
function choices(tree: ColumnTree): Map<string, Set<string>> {
  const shown = new Map<string, Set<string>>()
  for (const [name, text] of driveEntries(tree)) {
    const values = shown.get(name) ?? new Set()
    shown.set(name, values.add(text))
  }
  return shown
}

void test('the changes from one tree to another lead from its entries to the other’s', (t) => {
  const next = random(20)
  let wrong = 0
  let needless = 0
  for (let round = 0; round < ROUNDS; round++) {
    const [before, after] = [randomTree(next), randomTree(next)]
    const entries = textOf(before)
    for (const [name, value] of changedDriveEntries(before, after)) {
      const text = JSON.stringify(value)
      if (entries.get(name) === text && !name.includes('\uFFFD')) needless++
      if (value === undefined) entries.delete(name)
      else entries.set(name, text)
    }
    const expected = choices(after)
    const isRight =
      entries.size === expected.size &&
      [...entries].every(([name, value]) => expected.get(name)?.has(value) === true)
    if (!isRight) wrong++
  }
  t.is(wrong, 0)
  t.is(needless, 0, 'and what is equal is left alone')
  const tree = randomTree(next)
  t.alike([...changedDriveEntries(tree, tree)], [], 'nothing changes where nothing did')
})

void test('names that are shown as they are come in order of their bytes', (t) => {
  const next = random(21)
  let wrong = 0
  for (let round = 0; round < ROUNDS; round++) {
    const names = [...driveEntries(randomTree(next))]
      .map(([name]) => name)
      .filter((name) => !isBlurred(name))
      .map((name) => Buffer.from(name))
    if (names.some((name, n) => n > 0 && Buffer.compare(names[n - 1]!, name) >= 0)) wrong++
  }
  t.is(wrong, 0)
})
