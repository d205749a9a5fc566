import { randomBytes } from 'node:crypto'
import test from 'brittle'
import Hyperdrive from 'hyperdrive'
import { TreeBuilder } from '../../../src/image/tree/tree-builder.ts'
import type { ColumnTree } from '../../../src/image/tree/column-tree.ts'
import { listAnew, listChanges } from '../../../src/p2p/drive/list-files.ts'
import { random } from '../../image/trees.ts'
import { choices, randomTree } from '../random-trees.ts'
import { temporaryStore } from '../temporary-store.ts'

const ROUNDS = 25
const FILES = 3_000

void test('whatever a drive lists is brought to what a tree has', async (t) => {
  const drive = new Hyperdrive(await temporaryStore(t), { encryptionKey: randomBytes(32) })
  t.teardown(() => drive.close())
  await drive.ready()
  const { signal } = new AbortController()
  const next = random(22)
  let wrong = 0
  let before = randomTree(next)
  for (let round = 0; round < ROUNDS; round++) {
    const after = round % 2 === 0 ? randomTree(next) : flatTree((n) => n % (round + 1) === 0)
    await listAnew(after)(drive, signal)
    if (!(await lists(drive, after))) wrong++
    const { version } = drive
    await listAnew(after)(drive, signal)
    if (drive.version !== version) wrong++
    await listChanges(after, before)(drive, signal)
    if (!(await lists(drive, before))) wrong++
    before = after
  }
  t.is(wrong, 0)
})

/** More files than one append has. */
function flatTree(has: (n: number) => boolean): ColumnTree {
  const builder = new TreeBuilder()
  const owner = { uid: 0, gid: 0, mtimeSeconds: 0, mtimeNanoseconds: 0 }
  for (let n = 0; n < FILES; n++) {
    if (!has(n)) continue
    const attributes = { ...owner, mode: n % 512, deviceMajor: 0, deviceMinor: 0 }
    builder.link(
      0,
      Buffer.from(`file ${n}`),
      builder.addInode({ ...attributes, type: 'file' }, { size: 0 })
    )
  }
  return builder.finish()
}

async function lists(drive: Hyperdrive, tree: ColumnTree): Promise<boolean> {
  const expected = choices(tree)
  let found = 0
  for await (const { key, value } of drive.list('/')) {
    if (!expected.get(key)?.has(JSON.stringify(value))) return false
    found++
  }
  return found === expected.size
}
