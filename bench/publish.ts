/**
 * How fast `publishTree` is with a sink that throws blocks away, to be compared with
 * `tar -C ROOTFS -cf - . | zstd -3 -T2 | wc -c`.
 *
 *   node build/bench/publish.js ROOTFS [RUNS]
 */
import { scanDirectory } from '../src/image/directory-source.ts'
import { decodeIndex, encodeIndex } from '../src/image/index-codec.ts'
import { publishTree } from '../src/image/publish.ts'
import { report, type Row } from './report.ts'

const [root, runs = '3'] = process.argv.slice(2)
if (root === undefined) {
  console.error('usage: node build/bench/publish.js ROOTFS [RUNS]')
  process.exit(2)
}
const results: Row[] = []
for (let run = 0; run < Number(runs); run++) {
  let blocks = 0
  const sink = {
    append: async (more: readonly Uint8Array[]): Promise<number> => {
      blocks += more.length
      return blocks - more.length
    }
  }
  const start = performance.now()
  const source = await scanDirectory(root)
  const scanned = performance.now()
  const { tree, manifest } = await publishTree(source, sink, { name: 'bench' })
  const published = performance.now()
  const packed = encodeIndex(tree)
  const encoded = performance.now()
  decodeIndex(packed)
  const decoded = performance.now()
  results.push({
    files: manifest.files,
    entries: manifest.entries,
    megabytes: manifest.bytes / 1e6,
    storedMegabytes: manifest.storedBytes / 1e6,
    chunks: manifest.chunks,
    packedIndexBytes: manifest.index.bytes,
    indexBytes: manifest.index.storedBytes,
    chunkHashBytes: manifest.chunkHashes.storedBytes,
    arch: manifest.arch,
    start: JSON.stringify(manifest.start),
    scanMs: Math.round(scanned - start),
    publishMs: Math.round(published - scanned),
    megabytesASecond: Math.round(manifest.bytes / 1e3 / (published - start)),
    encodeMs: Math.round(encoded - published),
    decodeMs: Math.round(decoded - encoded),
    rssMegabytes: Math.round(process.resourceUsage().maxRSS / 1024)
  })
}
report('publish', { results })
