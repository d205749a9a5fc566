import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { scanDirectory } from '../../../src/image/source/directory-source.ts'
import { writeVersion } from '../../../src/image/publish/write-version.ts'
import { exportTar } from '../../../src/image/export/tar-export.ts'
import { MemoryStore } from '../memory-store.ts'
import { plantTree, temporaryDirectory } from '../planted-tree.ts'
import { archiveLines, directoryLines, extract, plantForTar } from '../tar-archives.ts'
import type { ExportedTar } from '../../../src/image/export/tar-export.ts'

async function exported(root: string, archive: string): Promise<ExportedTar> {
  const store = new MemoryStore()
  const { tree } = await writeVersion(await scanDirectory(root), store, {
    name: 'test',
    threads: 1
  })
  const file = openSync(archive, 'w')
  try {
    const write = async (bytes: Uint8Array): Promise<void> => {
      await Promise.resolve(writeSync(file, bytes))
    }
    return await exportTar(tree, store.reader(tree), write)
  } finally {
    closeSync(file)
  }
}

void test('what is exported is what was published, to GNU tar, libarchive and ourselves', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const root = join(place.path, 'root')
  plantForTar(root)
  const archive = join(place.path, 'a.tar')
  const { entries, skipped, bytes } = await exported(root, archive)
  const original = await directoryLines(root)
  t.is(entries, original.length)
  t.is(skipped, 0)
  t.is(bytes % 512, 0)
  t.alike(await archiveLines(archive), original, 'published again')
  extract(archive, join(place.path, 'gnu'))
  t.alike(await directoryLines(join(place.path, 'gnu')), original, 'extracted by GNU tar')
  extract(archive, join(place.path, 'libarchive'), 'bsdtar')
  t.alike(
    // libarchive leaves the root's time, and reads negative times with a fraction its own way.
    (await directoryLines(join(place.path, 'libarchive'))).slice(1).filter(isNotDangling),
    original.slice(1).filter(isNotDangling),
    'extracted by libarchive'
  )
})

void test('sockets stay behind', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  plantTree(place.path)
  const { skipped } = await exported(place.path, '/dev/null')
  t.is(skipped, 1)
})

function isNotDangling(line: string): boolean {
  return !line.startsWith('dangling ')
}
