import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { openDirectory, scanDirectory } from '../../../src/image/source/directory-source.ts'
import { isContainerError } from '../../../src/core/errors.ts'
import { FileListBuilder } from '../../../src/image/source/file-list.ts'
import { FileStatus, STATUS_WORDS } from '../../../src/image/source/file-status.ts'
import { writeVersion } from '../../../src/image/publish/write-version.ts'
import type { PublishSource } from '../../../src/image/source/publish-source.ts'
import { MemoryStore } from '../memory-store.ts'
import { plantTree, temporaryDirectory } from '../planted-tree.ts'

/** Several of a scan's turns. */
const FOLDERS = 30
const FILES = 300

function plantMany(path: string): void {
  plantTree(path)
  for (let folder = 0; folder < FOLDERS; folder++) {
    const inside = join(path, `many-${folder}`)
    mkdirSync(inside)
    for (let file = 0; file < FILES; file++) {
      writeFileSync(join(inside, `file-${file}`), `${folder} ${file}\n`.repeat(1 + (file % 9)))
    }
  }
}

async function blocksOf(source: PublishSource): Promise<readonly Uint8Array[]> {
  const store = new MemoryStore()
  await writeVersion(source, store, { name: 'test', created: new Date(0), threads: 1 })
  return store.blocks
}

void test('files that are read while a directory is scanned make the same image', async (t) => {
  const directory = temporaryDirectory()
  t.teardown(directory.remove)
  plantMany(directory.path)
  const opened = await openDirectory(directory.path)
  t.is(opened.totalFiles, 0, 'nobody knows yet how many there are')
  const blocks = await blocksOf(opened)
  t.ok(opened.totalFiles >= FOLDERS * FILES)
  t.is(opened.scan?.files.length, opened.totalFiles)
  const scanned = await blocksOf(await scanDirectory(directory.path))
  t.alike(
    blocks.map((block) => Buffer.from(block)),
    scanned.map((block) => Buffer.from(block))
  )
})

void test('what vanishes while a directory is scanned ends the publish', async (t) => {
  const directory = temporaryDirectory()
  t.teardown(directory.remove)
  plantMany(directory.path)
  const source = await openDirectory(directory.path)
  // Its name is read when the scan begins, and what is in it long after.
  const sink = {
    append: async () => {
      rmSync(join(directory.path, `many-${FOLDERS - 1}`), { recursive: true, force: true })
      return 0
    }
  }
  try {
    await writeVersion(source, sink, { name: 'test' })
    t.fail('it was published')
  } catch (error) {
    t.ok(isContainerError(error, 'SOURCE_CHANGED'), String(error))
  }
})

void test('what is posted of a long list is no more than its own files', (t) => {
  const all = new FileListBuilder(Buffer.from('/source'))
  const status = new FileStatus(new Uint32Array(STATUS_WORDS), 0)
  for (let file = 0; file < FILES; file++) {
    const path = Buffer.from(`folder/file-${file}`)
    all.add(file, path, 0, path.length, status)
  }
  const { inode, paths, pathStart, statuses } = all.since(FILES - 1)
  for (const column of [inode, paths, pathStart, statuses]) {
    t.is(column.buffer.byteLength, column.byteLength)
  }
  t.is(Buffer.from(paths).toString(), `folder/file-${FILES - 1}`)
})
