/**
 * Writes the fixture of the current image format to the folder given, as root:
 *
 *   node build/test/image/make-format-fixture.js test/fixtures/format-v1
 *
 * Run once for each released format version; what it wrote is never written again.
 */
import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { scanDirectory } from '../../src/image/source/directory-source.ts'
import { encodeIndex } from '../../src/image/format/index-codec.ts'
import { encodeManifest } from '../../src/image/format/manifest-codec.ts'
import { writeVersion } from '../../src/image/publish/write-version.ts'
import { MemoryStore } from './memory-store.ts'
import { noise, setXattr, temporaryDirectory } from './planted-tree.ts'
import { describeTree } from './trees.ts'

const folder = process.argv[2]!
const source = temporaryDirectory()
const at = (path: string): string => join(source.path, path)
mkdirSync(at('usr/bin'), { recursive: true })
symlinkSync('usr/bin', at('bin'))
writeFileSync(at('usr/bin/tool'), Buffer.alloc(70_000, 'tool '), { mode: 0o755 })
linkSync(at('usr/bin/tool'), at('usr/bin/same-tool'))
writeFileSync(at('noise'), noise(300))
writeFileSync(at('sparse'), Buffer.alloc(65_536, 'sparse '))
truncateSync(at('sparse'), 2 ** 32)
execFileSync('mknod', [at('null'), 'c', '1', '3'])
execFileSync('mkfifo', [at('fifo')])
setXattr(at('noise'), 'user.note', Buffer.from([0, 1, 255]))
writeFileSync(Buffer.concat([Buffer.from(`${source.path}/latin1-`), Buffer.from([0xe9])]), 'é')
utimesSync(at('noise'), 1, 1_234_567_890.5)

const store = new MemoryStore()
const { tree, manifest } = await writeVersion(await scanDirectory(source.path), store, {
  name: 'fixture',
  description: 'Written by the first release of format 1',
  message: 'first',
  arch: 'amd64',
  created: new Date(1_700_000_000_000)
})
const packedManifest = encodeManifest(manifest)
await store.append([packedManifest])
source.remove()

const framed = store.blocks.flatMap((block) => {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(block.length)
  return [length, block]
})
mkdirSync(folder, { recursive: true })
writeFileSync(join(folder, 'blocks.bin'), Buffer.concat(framed))
writeFileSync(join(folder, 'index.bin'), encodeIndex(tree))
writeFileSync(join(folder, 'manifest.json'), packedManifest)
writeFileSync(join(folder, 'tree.json'), `${JSON.stringify(describeTree(tree))}\n`)
