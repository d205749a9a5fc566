import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { gzipSync } from 'node:zlib'
import { isContainerError } from '../../../src/core/errors.ts'
import { openTar } from '../../../src/image/tar/tar-source.ts'
import { handMadeImage, tool } from '../oci-images.ts'
import { readArchive, readLayout } from '../oci-reading.ts'
import { temporaryDirectory } from '../planted-tree.ts'
import { tarOf } from '../tar-bytes.ts'

const ZSTD = 'application/vnd.oci.image.layer.v1.tar+zstd'
const archive = tarOf(
  { path: 'words', content: 'seven words that are said many times '.repeat(60_000) },
  { path: 'last', content: 'the end' }
)
const zstd = (input: Buffer, ...args: string[]): Buffer =>
  execFileSync('zstd', ['-q', '-c', ...args], { input, maxBuffer: 1e9 })

/** A frame that decompressors pass over. @param number which of the sixteen kinds */
function skippable(number: number, content: string): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(0x184d2a50 + number, 0)
  head.writeUInt32LE(content.length, 4)
  return Buffer.concat([head, Buffer.from(content)])
}

void test('zstd of every kind of frame, as an archive and as a layer', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const path = join(place.path, 'archive')
  writeFileSync(path, archive)
  const { lines } = await readArchive(path)
  const parts = [archive.subarray(0, 700), archive.subarray(700)] as const
  tool('pzstd', '-q', '-p', '2', path)
  const contents: Record<string, Buffer> = {
    'a skippable frame first': Buffer.concat([skippable(0, 'table'), zstd(archive)]),
    'the last kind of skippable frame first': Buffer.concat([skippable(15, ''), zstd(archive)]),
    'skippable frames everywhere': Buffer.concat([
      skippable(3, 'x'.repeat(300_000)),
      zstd(parts[0]),
      skippable(7, ''),
      zstd(Buffer.alloc(0)),
      zstd(parts[1]),
      skippable(10, 'the place of a table')
    ]),
    pzstd: readFileSync(`${path}.zst`),
    'no size, no checksum': zstd(archive, '--no-content-size', '--no-check'),
    'a window of 256 MiB': zstd(archive, '--long=28', '--no-content-size'),
    'a window of 512 MiB': zstd(archive, '--long=29', '--no-content-size'),
    'a window larger than what it holds': zstd(
      archive,
      '--long=31',
      `--stream-size=${archive.length}`
    )
  }
  for (const [title, content] of Object.entries(contents)) {
    writeFileSync(path, content)
    t.alike((await readArchive(path)).lines, lines, title)
    const layer = { content, archive, mediaType: ZSTD }
    const layout = handMadeImage(join(place.path, title), [layer])
    t.alike((await readLayout(layout)).lines, lines, `${title}, as a layer`)
  }
})

void test('a window that would take too much memory is refused by that name', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  for (const log of [30, 31]) {
    const content = zstd(archive, `--long=${log}`, '--no-content-size')
    const path = join(place.path, `${log}`)
    writeFileSync(path, content)
    const layout = handMadeImage(`${path}.layout`, [{ content, archive, mediaType: ZSTD }])
    for (const reading of [readArchive(path), readLayout(layout)]) {
      const error = await reading.catch((thrown: unknown) => thrown)
      if (!isContainerError(error, 'BAD_SOURCE')) throw error
      t.ok(/window of more than 512 MiB/.test(error.message), error.message)
      t.ok(/--long=29/.test(error.hint ?? ''), error.hint)
    }
  }
})

void test('a reading of compressed bytes that are late is cancelled at once', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const forms = { gzip: gzipSync(archive), zstd: zstd(archive), plain: archive }
  const programs = ['xz', 'bzip2'].map((name) => [name, execFileSync(name, { input: archive })])
  for (const [form, content] of [...Object.entries(forms), ...programs] as [string, Buffer][]) {
    for (const given of [0, 3, 20, content.length >> 1]) {
      const fifo = join(place.path, `${form} ${given}`)
      tool('mkfifo', fifo)
      const controller = new AbortController()
      const source = await openTar(fifo)
      const reading = (async () => {
        for await (const batch of source.contents.batches(controller.signal)) {
          source.contents.recycle(batch.bytes.buffer as ArrayBuffer)
        }
      })().catch((thrown: unknown) => thrown)
      // Both ends, so that it never ends by itself.
      await using writer = await open(fifo, constants.O_RDWR)
      if (given > 0) await writer.write(content.subarray(0, Math.min(given, 60_000)))
      await new Promise((resolve) => setTimeout(resolve, 50))
      controller.abort()
      t.ok(isContainerError(await reading, 'CANCELLED'), `${form} after ${given} bytes`)
    }
  }
})

void test('an archive from a named pipe is read as a file of it', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const path = join(place.path, 'archive')
  writeFileSync(path, archive)
  const { lines } = await readArchive(path)
  for (const [form, content] of Object.entries({ plain: archive, zstd: zstd(archive) })) {
    const file = join(place.path, form)
    writeFileSync(file, content)
    tool('mkfifo', `${file}.fifo`)
    const writer = spawn('sh', ['-c', 'cat "$0" > "$0.fifo"', file])
    const written = once(writer, 'close')
    t.alike((await readArchive(`${file}.fifo`)).lines, lines, form)
    await written
  }
})
