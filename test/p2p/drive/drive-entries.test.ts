import test from 'brittle'
import type { ColumnTree } from '../../../src/image/tree/column-tree.ts'
import {
  changedDriveEntries,
  driveEntries,
  isBlurred
} from '../../../src/p2p/drive/drive-entries.ts'
import { random } from '../../image/trees.ts'
import { choices, randomTree } from '../random-trees.ts'

const ROUNDS = 400
const textOf = (tree: ColumnTree): Map<string, string> => new Map(driveEntries(tree))

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
