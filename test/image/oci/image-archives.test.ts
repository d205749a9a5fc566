import { createHash } from 'node:crypto'
import { cpSync, linkSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import test from 'brittle'
import { handMadeImage, tool, labelImage } from '../oci-images.ts'
import { readArchive, readLayout, refusalOf, publish } from '../oci-reading.ts'
import { temporaryDirectory } from '../planted-tree.ts'
import { tarOf } from '../tar-bytes.ts'
import { findImageOfKind } from '../../../src/image/oci/find-image.ts'
import { openLayers } from '../../../src/image/oci/layered-source.ts'
import { DirectoryBlobs } from '../../../src/image/oci/blob-store.ts'
import { directoryKind } from '../../../src/image/oci/directory-kind.ts'

const LAYER = 'application/vnd.oci.image.layer.v1.tar'
const layer = tarOf({ path: 'bin/', type: '5' }, { path: 'bin/app', content: 'the program' })
const HEX = 'ab'.repeat(32)
/** More than is looked at of a stream before it is decided what it is. */
const LARGE = 'much else to say '.repeat(50_000)

interface Place {
  readonly path: string
  readonly layout: string
  readonly lines: readonly string[]
}

/** A place with the layout of an image, and what that reads as. */
async function placeWithLayout(t: { teardown(end: () => void): void }): Promise<Place> {
  const { path, remove } = temporaryDirectory()
  t.teardown(remove)
  const layers = [{ content: layer, archive: layer, mediaType: LAYER }]
  const layout = handMadeImage(join(path, 'layout'), layers)
  return { path, layout, lines: (await readLayout(layout)).lines }
}

/** An archive of some members of a directory, in that order, and the same compressed. */
function pack(directory: string, archive: string, ...members: string[]): string {
  tool('tar', '-cf', archive, '-C', directory, ...members)
  tool('gzip', '-kf', archive)
  return archive
}

/** The members that `docker save` writes, under names of the caller's, in its order. */
function dockerMembers(config: string, layerName: string): { path: string; content: string }[] {
  const digest = `sha256:${createHash('sha256').update(layer).digest('hex')}`
  const text = JSON.stringify({
    os: 'linux',
    architecture: 'amd64',
    rootfs: { type: 'layers', diff_ids: [digest] }
  })
  const manifest = JSON.stringify([{ Config: config, RepoTags: null, Layers: [layerName] }])
  return [
    { path: config, content: text },
    { path: layerName, content: layer.toString('latin1') },
    { path: 'manifest.json', content: manifest }
  ]
}

void test('members that no image has change nothing of an image', async (t) => {
  const { path, layout, lines } = await placeWithLayout(t)
  mkdirSync(join(layout, 'ingest'))
  writeFileSync(join(layout, 'README.md'), '# An image')
  const image = ['blobs', 'index.json', 'oci-layout']
  const orders: Record<string, readonly string[]> = {
    'a directory more': ['ingest', ...image],
    'a file first': ['README.md', ...image],
    'a file last': [...image, 'README.md'],
    'all, as find lists them': ['.']
  }
  for (const [title, members] of Object.entries(orders)) {
    const archive = pack(layout, join(path, `${title}.tar`), ...members)
    t.alike((await readArchive(archive)).lines, lines, title)
    t.alike((await readArchive(`${archive}.gz`)).lines, lines, `${title}, compressed`)
    tool('skopeo', 'copy', '-q', `oci-archive:${archive}`, `dir:${join(path, 'copy')}`)
    const asFiles = await readArchive(archive, { expected: 'tar' })
    t.is(asFiles.manifest.source.kind, 'tar', `${title}, as the files it is`)
    t.ok(asFiles.lines.some((line) => line.startsWith('oci-layout file')))
  }
  writeFileSync(join(layout, 'LICENSE'), LARGE)
  const largeFirst = pack(layout, join(path, 'large.tar'), 'LICENSE', ...image)
  t.alike((await readArchive(largeFirst)).lines, lines, 'a large file first')
  const said = await refusalOf(readArchive(`${largeFirst}.gz`))
  t.ok(/BAD_SOURCE bad image: .*among other files.*--as files/.test(said), said)
  const read = await readArchive(`${largeFirst}.gz`, { expected: 'oci' })
  t.alike(read.lines, lines, 'called an image, it is read as one')
  t.is((await readArchive(`${largeFirst}.gz`, { expected: 'tar' })).manifest.source.kind, 'tar')
})

void test('a docker-archive is told by its manifest.json, whatever its files are called', async (t) => {
  const { path, lines } = await placeWithLayout(t)
  const other = { path: 'docs/README', content: 'x' }
  const cases: Record<string, Buffer> = {
    'names of Bazel': tarOf(...dockerMembers('config.json', 'layers/one.tar'), other),
    'a hardlink to a layer': tarOf(
      ...dockerMembers('config.json', `${HEX}/layer.tar`).slice(0, 2),
      { path: 'second/layer.tar', type: '1', link: `${HEX}/layer.tar` },
      dockerMembers('config.json', 'second/layer.tar')[2]!
    ),
    'a symlink to a layer': tarOf(
      ...dockerMembers('config.json', `${HEX}/layer.tar`).slice(0, 2),
      { path: 'second/layer.tar', type: '2', link: `../${HEX}/layer.tar` },
      dockerMembers('config.json', 'second/layer.tar')[2]!
    )
  }
  for (const [title, bytes] of Object.entries(cases)) {
    const archive = join(path, `${title}.tar`)
    writeFileSync(archive, bytes)
    const read = await readArchive(archive)
    t.alike(read.lines, lines, title)
    t.is(read.manifest.source.kind, 'docker-archive')
    tool('gzip', '-k', archive)
    t.alike((await readArchive(`${archive}.gz`)).lines, lines, `${title}, compressed`)
  }
  // Docker unpacks an archive, and so knows links; skopeo does not.
  const bazel = `docker-archive:${join(path, 'names of Bazel.tar')}`
  tool('skopeo', 'copy', '-q', bazel, `dir:${join(path, 'copy')}`)
  const late = join(path, 'late.tar')
  writeFileSync(late, tarOf({ path: 'first', content: LARGE }, ...dockerMembers('c', 'l')))
  t.alike((await readArchive(late)).lines, lines, 'a large file first')
  tool('gzip', '-k', late)
  const said = await refusalOf(readArchive(`${late}.gz`))
  t.ok(/BAD_SOURCE bad image: .*among other files.*--as files/.test(said), said)
})

void test('what looks like an image and cannot be read as one is refused by name', async (t) => {
  const { path, layout } = await placeWithLayout(t)
  const archive = join(path, 'image.tar')
  const refused = async (title: string, message: RegExp): Promise<void> => {
    tool('gzip', '-kf', archive)
    for (const file of [archive, `${archive}.gz`]) {
      const said = await refusalOf(readArchive(file))
      t.ok(said.startsWith('BAD_SOURCE bad image: ') && message.test(said), `${title}: ${said}`)
      const { manifest } = await readArchive(file, { expected: 'tar' })
      t.is(manifest.source.kind, 'tar', `${title}, forced`)
    }
  }
  const legacy = [
    { path: 'repositories', content: `{"app":{"1":"${HEX}"}}` },
    { path: `${HEX}/`, type: '5' },
    { path: `${HEX}/VERSION`, content: '1.0' },
    { path: `${HEX}/json`, content: '{}' },
    { path: `${HEX}/layer.tar`, content: 'x' }
  ]
  for (const members of [
    legacy,
    legacy.toReversed(),
    [{ path: 'NOTES', content: '' }, ...legacy]
  ]) {
    writeFileSync(archive, tarOf(...members))
    await refused('before manifest.json', /Docker before 1\.10.*docker save.*--as files/)
  }
  pack(dirname(layout), archive, basename(layout))
  await refused('in a directory', /in layout, not at the top.*tar -C layout/)
  writeFileSync(join(layout, 'README.md'), 'x')
  pack(layout, archive, 'README.md', 'blobs', 'oci-layout')
  await refused('without index.json', /index\.json is not in it/)
  pack(layout, archive, 'README.md', 'blobs', 'index.json')
  await refused('without oci-layout', /oci-layout is not in it/)
})

void test('an archive of an image whose files have holes is read as any', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const sparse = tarOf(
    { path: 'zeros', content: '\0'.repeat(2_000_000) },
    { path: 'text', content: 'between holes' },
    { path: 'more', content: '\0'.repeat(500_000) }
  )
  const layout = handMadeImage(join(place.path, 'layout'), [
    { content: sparse, archive: sparse, mediaType: LAYER }
  ])
  const { lines } = await readLayout(layout)
  tool('find', layout, '-type', 'f', '-size', '+1M', '-exec', 'fallocate', '-d', '{}', ';')
  for (const format of ['gnu', 'posix']) {
    const archive = join(place.path, `${format}.tar`)
    tool('tar', `--format=${format}`, '--sparse', '-cf', archive, '-C', layout, '.')
    t.ok(statSync(archive).size < 100_000, `${format}: holes are left out`)
    t.alike((await readArchive(archive)).lines, lines, format)
    tool('gzip', '-k', archive)
    t.alike((await readArchive(`${archive}.gz`)).lines, lines, `${format}, compressed`)
  }
})

void test('directories are told as archives are', async (t) => {
  const { path, layout, lines } = await placeWithLayout(t)
  const read = async (directory: string) => {
    const kind = await directoryKind(directory)
    if (kind === undefined) return 'files'
    const image = await findImageOfKind(new DirectoryBlobs(directory), kind, {})
    return (await publish(await openLayers(image))).lines
  }
  t.alike(await read(layout), lines, 'a layout')
  labelImage(layout, 'app')
  const at = (name: string): string => join(path, name)
  tool('skopeo', 'copy', '-q', `oci:${layout}:app`, `docker-archive:${at('d.tar')}:app:1`)
  mkdirSync(at('unpacked'))
  tool('tar', '-xf', at('d.tar'), '-C', at('unpacked'))
  t.alike(await read(at('unpacked')), lines, 'an archive of Docker, unpacked')
  rmSync(at('unpacked/manifest.json'))
  const old = await refusalOf(read(at('unpacked')))
  t.ok(/BAD_SOURCE .*Docker before 1\.10.*--as files/.test(old), old)
  rmSync(at('unpacked/repositories'))
  t.is(await read(at('unpacked')), 'files', 'names alone make no image')

  tool('skopeo', 'copy', '-q', `oci:${layout}:app`, `dir:${at('dir')}`)
  pack(at('dir'), at('dir.tar'), '.')
  pack(at('dir'), at('version.tar'), 'version', 'manifest.json')
  for (const [title, reading] of [
    ['as it is', () => read(at('dir'))],
    ['packed', () => readArchive(at('dir.tar'))],
    ['compressed', () => readArchive(at('dir.tar.gz'))],
    ['without files of digests', () => readArchive(at('version.tar.gz'))]
  ] as const) {
    const said = await refusalOf(reading())
    t.ok(
      /BAD_SOURCE .*skopeo's dir: writes .*oci:LAYOUT.*--as files/.test(said),
      `${title}: ${said}`
    )
  }
  t.is((await readArchive(at('dir.tar'), { expected: 'tar' })).manifest.source.kind, 'tar')

  rmSync(join(layout, 'index.json'))
  t.ok(/index\.json is not in it/.test(await refusalOf(read(layout))), 'half a layout')
})

void test('no name in an image of a directory leads out of it', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  mkdirSync(join(place.path, 'image'))
  for (const { path, content } of dockerMembers('../config.json', '../layer.tar')) {
    writeFileSync(join(place.path, 'image', path), content, 'latin1')
  }
  const store = new DirectoryBlobs(join(place.path, 'image'))
  const said = await refusalOf(findImageOfKind(store, 'docker-archive', {}))
  t.is(
    said,
    'BAD_SOURCE bad image: ../config.json is not in it (the image is damaged or incomplete; make or fetch it again)'
  )
})

void test('files that have names as of images are files', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const root = join(place.path, 'root')
  for (const [name, content] of Object.entries({
    'etc/passwd': 'root:x:0:0::/:/bin/sh\n',
    'manifest.json': '{"name":"a web application"}',
    'index.json': '[]',
    repositories: 'deb stable main',
    'backup.tar': 'no archive',
    [`srv/cache/${HEX}`]: 'a file of a cache',
    'var/lib/store/oci-layout': '{}'
  })) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), content)
  }
  const archive = pack(root, join(place.path, 'root.tar'), '.')
  const { lines, manifest } = await readArchive(archive)
  t.is(manifest.source.kind, 'tar')
  t.is(manifest.files, 7)
  t.is(await directoryKind(root), undefined, 'as a directory, too')
  t.alike((await readArchive(`${archive}.gz`)).lines, lines, 'compressed')
  // A root filesystem that has an image's store in it.
  const store = handMadeImage(join(root, 'var/lib/images/app'), [
    { content: layer, archive: layer, mediaType: LAYER }
  ])
  cpSync(store, join(root, 'srv/second'), { recursive: true })
  rmSync(join(root, 'srv/second/index.json'))
  linkSync(join(store, 'index.json'), join(root, 'srv/second/index.json'))
  const withStore = pack(root, join(place.path, 'with-store.tar'), '.')
  t.is((await readArchive(withStore)).manifest.source.kind, 'tar', 'with stores of images inside')
  t.is((await readArchive(`${withStore}.gz`)).manifest.source.kind, 'tar')
  // More files than are looked at to find an image.
  mkdirSync(join(root, 'many'))
  for (let n = 0; n < 1_500; n++) writeFileSync(join(root, 'many', `${n}`), '')
  const many = pack(root, join(place.path, 'many.tar'), 'many', 'etc', 'manifest.json')
  t.is((await readArchive(many)).manifest.files, 1_502)
})
