import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createHash } from 'node:crypto'
import test from 'brittle'
import { cacheMetadata, dropMetadata, metadataFile } from '../../../src/home/metadata-cache.ts'
import { planDataLayout } from '../../../src/fuse/content/data-layout.ts'
import { writeErofsImage } from '../../../src/fuse/erofs/erofs-image.ts'
import { METADATA_FORMAT, takeKeptMetadata } from '../../../src/fuse/erofs/kept-metadata.ts'
import type { Manifest } from '../../../src/image/format/manifest.ts'
import { ownDirectory } from '../planted-directory.ts'
import { everyKindOfTree } from '../../image/trees.ts'

const PIECES = 3 * 1024 * 1024 + 4096

function manifest(version: number, digest: string): Pick<Manifest, 'version' | 'index'> {
  return { version, index: { block: 0, blocks: 1, storedBytes: 1, bytes: 1, digest } }
}

void test('a metadata image is kept whole, for its version, and goes with its image', async (t) => {
  const home = await ownDirectory(t, 'kept')
  const made = join(home, 'made')
  const taken = join(home, 'taken')
  const content = Buffer.alloc(PIECES, 'metadata')
  await writeFile(made, content)
  const kept = metadataFile({ home }, 'key', manifest(1, 'sha256:a'))
  t.absent(await takeKeptMetadata(kept, taken), 'nothing was kept')
  await cacheMetadata(made, kept)
  t.ok(await takeKeptMetadata(kept, taken))
  t.alike((await readFile(taken)).subarray(0, content.length), content)
  await rm(taken)
  const other = metadataFile({ home }, 'key', manifest(1, 'sha256:b'))
  t.absent(await takeKeptMetadata(other, taken), 'another index has none')

  const bytes = await readFile(kept)
  for (const damaged of [
    bytes.subarray(0, -1),
    Buffer.alloc(0),
    Buffer.from(bytes).fill(1, 9, 10)
  ]) {
    await writeFile(kept, damaged)
    t.absent(await takeKeptMetadata(kept, taken), 'what is damaged is not taken')
    t.absent((await readdir(home)).includes('taken'))
  }
  t.alike(await readdir(join(home, 'metadata/key')), [], 'and is removed')

  const versions = [1, 2, 10].map((version) =>
    metadataFile({ home }, 'key', manifest(version, 'd'))
  )
  for (const path of versions) await cacheMetadata(made, path)
  const left = async (): Promise<number[]> =>
    (await readdir(join(home, 'metadata/key')))
      .map((name) => Number.parseInt(name, 10))
      .sort((one, other) => one - other)
  t.alike(await left(), [2, 10], 'the oldest version’s has gone')
  await dropMetadata({ home }, 'key', [2])
  t.alike(await left(), [10])
  await dropMetadata({ home }, 'key')
  t.alike(await readdir(join(home, 'metadata')), [])
})

void test('what METADATA_FORMAT stands for is written', async (t) => {
  const home = await ownDirectory(t, 'kept')
  const tree = everyKindOfTree()
  const meta = join(home, 'meta')
  await writeErofsImage(tree, planDataLayout(tree), meta)
  const digest = createHash('sha256')
    .update(await readFile(meta))
    .digest('hex')
  t.is(
    `${METADATA_FORMAT} ${digest}`,
    '2 6012edc8fea90e522f75c3d7cd918c54099ac8428be4461efe6002002dc32b44',
    'where the digest differs, raise METADATA_FORMAT and write both here'
  )
})
