import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import * as fc from 'fast-check'
import { withCleanup } from '../../src/core/cleanup-stack.ts'
import { isContainerError } from '../../src/core/errors.ts'
import { noBlob } from '../../src/image/oci/blob-store.ts'
import { openLayers } from '../../src/image/oci/layered-source.ts'
import { openArchive } from '../../src/image/oci/open-archive.ts'
import { temporaryDirectory } from '../image/planted-tree.ts'
import { tarOf } from '../image/tar-bytes.ts'
import { random } from '../image/trees.ts'
import { fuzz } from './fuzz.ts'
import { mutate, mutations } from './mutations.ts'
import type { BlobStore } from '../../src/image/oci/blob-store.ts'
import type { ContainerImage } from '../../src/image/oci/container-image.ts'
import type { PublishSource } from '../../src/image/source/publish-source.ts'

const MINUTES_5 = { timeout: 300_000 }
const run = (program: string, args: readonly string[], input: Buffer): Buffer =>
  execFileSync(program, ['-q', ...args, '-c'], { input, stdio: ['pipe', 'pipe', 'ignore'] })

const next = random(3)
const noise = Array.from({ length: 300_000 }, () => 'abcdefghijklmnop'[Math.floor(next() * 16)])
/** Text and noise, of more bytes than a decompressor takes or gives at once. */
const ARCHIVE = tarOf(
  { path: 'noise', content: noise.join('') },
  { path: 'words', content: 'one two three four five six seven\n'.repeat(20_000) },
  { path: 'last', content: 'the end' }
)
const HALVES = [ARCHIVE.subarray(0, 200_000), ARCHIVE.subarray(200_000)] as const
const skippable = Buffer.concat([Buffer.from('5a2a4d1805000000', 'hex'), Buffer.from('stuff')])

/** What an archive may be compressed as, and how many cases it is worth: programs take a while to start. */
const FORMS: Record<string, readonly [cases: number, compressed: Buffer]> = {
  gzip: [300, gzipSync(ARCHIVE)],
  'gzip of two members': [100, Buffer.concat(HALVES.map((half) => gzipSync(half)))],
  zstd: [500, run('zstd', [], ARCHIVE)],
  'zstd of two frames': [
    100,
    Buffer.concat([skippable, ...HALVES.map((half) => run('zstd', [], half)), skippable])
  ],
  'zstd of a long window': [100, run('zstd', ['--long=28'], ARCHIVE)],
  compress: [
    40,
    execFileSync('bsdtar', ['-c', '-Z', '-f', '-', '--format=ustar', '@-'], { input: ARCHIVE })
  ],
  xz: [40, run('xz', [], ARCHIVE)],
  bzip2: [40, run('bzip2', [], ARCHIVE)]
}

/** One blob in memory, given in pieces, which knows whether all of its readings were closed. */
class CountedBlob implements BlobStore {
  open = 0
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  async size(): Promise<number> {
    return this.#bytes.length
  }

  async *read(name: string, start = 0): AsyncGenerator<Buffer, void, undefined> {
    if (name !== 'layer') throw noBlob(name)
    this.open++
    try {
      for (let at = start; at < this.#bytes.length; at += PIECE_BYTES) {
        yield this.#bytes.subarray(at, at + PIECE_BYTES)
      }
    } finally {
      this.open--
    }
  }
}

const PIECE_BYTES = 64 * 1024
const digestOf = (bytes: Buffer): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

function imageOf(store: BlobStore, digest: string, diffId: string): ContainerImage {
  const platform = { os: 'linux', arch: 'amd64' }
  const config = { platform, diffIds: [diffId], start: {} }
  return { kind: 'oci', store, config, layers: [{ name: 'layer', digest, diffId }] }
}

async function readAll(source: PublishSource): Promise<void> {
  for await (const batch of source.contents.batches()) {
    source.contents.recycle(batch.bytes.buffer as ArrayBuffer)
  }
  source.builder.finish()
}

/** Where it breaks: mostly anywhere, and often in the first bytes, which tell what it is. */
const changes = fc.oneof(
  mutations,
  fc.array(fc.record({ do: fc.constant('flip' as const), at: fc.nat(500), bit: fc.nat(7) }), {
    minLength: 1,
    maxLength: 1
  })
)

for (const [form, [cases, compressed]] of Object.entries(FORMS)) {
  void test(`a layer that is damaged: ${form}`, MINUTES_5, async (t) => {
    const whole = new CountedBlob(compressed)
    // bsdtar ends an archive on a block of its own when it compresses it.
    const archive = form === 'compress' ? run('gzip', ['-d'], compressed) : ARCHIVE
    const diffId = digestOf(archive)
    await readAll(await openLayers(imageOf(whole, digestOf(compressed), diffId)))
    t.is(whole.open, 0, 'whole, it is read, and closed')
    // Bits that rotted are found by the digest; what was damaged before has one that fits.
    const values = fc.record({ list: changes, isCovered: fc.boolean() })
    await fuzz(t, { cases, accepted: 1 }, values, async ({ list, isCovered }) => {
      const damaged = mutate(compressed, list)
      const blob = new CountedBlob(damaged)
      const digest = digestOf(isCovered ? damaged : compressed)
      const source = openLayers(imageOf(blob, digest, diffId))
        .then(readAll)
        .catch((error: unknown) => {
          // What rotted is told by its digest, wherever its reader stumbled.
          const isTold = error instanceof Error && error.message.includes('have its digest')
          if (!isCovered && !isTold && !damaged.equals(compressed)) throw new Error(String(error))
          throw error
        })
      await source.finally(() => {
        if (blob.open > 0) throw new Error(`${blob.open} readings are left open`)
      })
    })
  })

  void test(`an archive that is damaged: ${form}`, MINUTES_5, async (t) => {
    const place = temporaryDirectory()
    t.teardown(place.remove)
    const path = join(place.path, 'archive')
    const read = (bytes: Buffer): Promise<void> =>
      withCleanup(async (cleanup) => {
        writeFileSync(path, bytes)
        await readAll(await openArchive(path, {}, cleanup))
      })
    await read(compressed)
    // A change is seldom one that does not count, and these are few: that it reads at all was seen above.
    const amount = { cases: Math.ceil(cases / 4), accepted: 0 }
    await fuzz(t, amount, changes, (list) => read(mutate(compressed, list)))
    const cuts = [1, 5, 6, 20, PIECE_BYTES]
    // compress marks no end, and the last bytes are zeros behind the archive's.
    if (form !== 'compress') cuts.push(compressed.length - 1)
    for (const at of cuts) {
      const error = await read(compressed.subarray(0, at)).catch((thrown: unknown) => thrown)
      t.ok(isContainerError(error, 'BAD_SOURCE'), `cut at ${at}`)
    }
  })
}
