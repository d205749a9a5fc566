import { randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import test from 'brittle'
import { compressFrame } from '../../../src/image/chunk/compression.ts'
import { handMadeImage, labelImage, layeredImage, plainImage, tool, unpack } from '../oci-images.ts'
import { readArchive, readLayout } from '../oci-reading.ts'
import { temporaryDirectory } from '../planted-tree.ts'
import { directoryLines } from '../tar-archives.ts'
import { tarOf } from '../tar-bytes.ts'
import type { PlainEntry } from '../tar-bytes.ts'

void test('an image in layers is what umoci unpacks, however it is packed', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const layout = layeredImage(place.path)
  t.is(readdirSync(join(layout, 'blobs/sha256')).length, 5, 'three layers')
  const expected = await directoryLines(unpack(layout, join(place.path, 'bundle')))
  const { lines, manifest } = await readLayout(layout)
  t.alike(lines, expected, 'a layout')
  t.is(manifest.source.kind, 'oci')
  t.is(manifest.arch, 'amd64')
  t.alike(manifest.start, {
    mode: 'process',
    argv: ['/bin/sh', '-c', 'pwd; id -u; id -g; echo $GREETING'],
    entrypoint: 2,
    env: ['GREETING=hello there', 'PATH=/usr/bin:/bin'],
    cwd: '/srv',
    user: 'web',
    stopSignal: 'SIGQUIT',
    exposedPorts: ['80/tcp'],
    volumes: ['/data'],
    labels: { who: 'me' }
  })

  const archive = join(place.path, 'image.tar')
  tool('skopeo', 'copy', `oci:${layout}:app`, `oci-archive:${archive}:app`)
  t.alike((await readArchive(archive)).lines, expected, 'an OCI archive')
  tool('gzip', '-k', archive)
  t.alike((await readArchive(`${archive}.gz`)).lines, expected, 'a compressed OCI archive')
  const docker = join(place.path, 'docker.tar')
  tool('skopeo', 'copy', `oci:${layout}:app`, `docker-archive:${docker}:app:latest`)
  const fromDocker = await readArchive(docker)
  t.alike(fromDocker.lines, expected, 'a docker-archive')
  t.is(fromDocker.manifest.source.kind, 'docker-archive')
  t.alike(fromDocker.manifest.start, manifest.start)
})

const PLAIN = 'application/vnd.oci.image.layer.v1.tar'

void test('whiteouts remove what is below them, wherever in their layer they are', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const below = tarOf(
    { path: './', type: '5', mode: 0o755 },
    { path: 'dir/', type: '5', mode: 0o755 },
    { path: 'dir/old', content: 'old' },
    { path: 'dir/sub/', type: '5', mode: 0o755 },
    { path: 'dir/sub/old', content: 'old' },
    { path: 'file', content: 'old' },
    { path: 'link', type: '1', link: 'file' },
    { path: 'to-dir', type: '2', link: 'dir' }
  )
  const opaque = { path: 'dir/.wh..wh..opq' }
  const added = [
    { path: 'dir/new', content: 'new' },
    { path: 'dir/sub/', type: '5', mode: 0o700 },
    { path: 'dir/sub/new', content: 'new' }
  ]
  const layers: Record<string, PlainEntry[]> = {
    'an opaque directory, said first': [opaque, ...added],
    'an opaque directory, said last': [...added, opaque],
    'an opaque directory, said between': [added[0]!, opaque, ...added.slice(1)],
    'a whiteout before what replaces': [{ path: '.wh.file' }, { path: 'file', content: 'new' }],
    'a whiteout behind what replaces': [{ path: 'file', content: 'new' }, { path: '.wh.file' }],
    'a whiteout of a directory, behind': [...added, { path: '.wh.dir' }],
    'a whiteout of what is not there': [{ path: '.wh.none' }, { path: 'dir/.wh.none' }],
    'a whiteout of one of two names': [{ path: '.wh.file' }],
    'a hardlink to the layer below': [{ path: 'third', type: '1', link: 'file' }],
    'a replaced file of two names': [{ path: 'file', content: 'replaced' }]
  }
  for (const [title, entries] of Object.entries(layers)) {
    const layout = plainImage(join(place.path, title), below, tarOf(...entries))
    labelImage(layout, 'app')
    const unpacked = unpack(layout, join(place.path, `${title} bundle`))
    // Parents that the layers do not name have the time of their unpacking.
    const settle = (lines: readonly string[]): string[] =>
      lines.map((line) => line.replace(/ directory (\d+ \S+) \S+/, ' directory $1'))
    const { lines } = await readLayout(layout)
    t.alike(settle(lines), settle(await directoryLines(unpacked)), title)
  }
})

void test('a layer reads the same, however it is compressed', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const archive = tarOf({ path: 'file', content: 'content '.repeat(10_000) })
  const plain = await readLayout(plainImage(join(place.path, 'plain'), archive))
  t.is(plain.manifest.files, 1)
  const skippable = Buffer.concat([Buffer.from('502a4d1804000000', 'hex'), Buffer.from('note')])
  const zstd = compressFrame(archive, 3)
  const contents: [string, string, Buffer][] = [
    ['gzip', '+gzip', gzipSync(archive)],
    [
      'gzip in members',
      '+gzip',
      Buffer.concat([archive.subarray(0, 700), archive.subarray(700)].map((part) => gzipSync(part)))
    ],
    ['gzip with something behind', '+gzip', Buffer.concat([gzipSync(archive), Buffer.alloc(99)])],
    ['zstd', '+zstd', zstd],
    ['zstd with a note', '+zstd', Buffer.concat([zstd, skippable])],
    ['gzip under another name', '', gzipSync(archive)]
  ]
  for (const [title, suffix, content] of contents) {
    const layer = { content, archive, mediaType: `${PLAIN}${suffix}` }
    const layout = handMadeImage(join(place.path, title), [layer])
    t.alike((await readLayout(layout)).lines, plain.lines, title)
  }
  const endless = archive.subarray(0, archive.length - 1024)
  const { lines } = await readLayout(plainImage(join(place.path, 'endless'), endless))
  t.alike(lines, plain.lines, 'an archive that nothing ends')
})

void test('what a later layer replaces or removes is not stored', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const noise = randomBytes(400_000).toString('latin1')
  const below = tarOf({ path: 'replaced', content: noise }, { path: 'removed', content: noise })
  const above = tarOf({ path: 'replaced', content: 'small' }, { path: '.wh.removed' })
  const { manifest, storedBytes } = await readLayout(plainImage(place.path, below, above))
  t.alike([manifest.files, manifest.bytes, manifest.chunks], [1, 5, 1])
  t.ok(storedBytes < 1_000, `${storedBytes} bytes`)
})

void test('one file of two names keeps its content, whichever name is gone', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const below = tarOf({ path: 'a', content: 'shared' }, { path: 'b', type: '1', link: 'a' })
  const layout = plainImage(
    place.path,
    below,
    tarOf({ path: '.wh.a' }),
    tarOf({ path: 'c', type: '1', link: 'b' })
  )
  const { manifest, lines } = await readLayout(layout)
  t.alike([manifest.files, manifest.entries, manifest.bytes], [1, 2, 6])
  t.ok(lines[2]?.startsWith('c = b'), lines[2])
})
