import { createHash } from 'node:crypto'
import { cpSync, linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import test from 'brittle'
import { handMadeImage, tool } from '../oci-images.ts'
import { readArchive, readLayout, refusalOf } from '../oci-reading.ts'
import { temporaryDirectory } from '../planted-tree.ts'
import { tarOf } from '../tar-bytes.ts'

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
  t.ok(/BAD_SOURCE bad image: .*among other files.*--as tar/.test(said), said)
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
  t.ok(/BAD_SOURCE bad image: .*among other files.*--as tar/.test(said), said)
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
    await refused('before manifest.json', /Docker before 1\.10.*docker save.*--as tar/)
  }
  pack(dirname(layout), archive, basename(layout))
  await refused('in a directory', /in layout, not at the top.*tar -C layout/)
  writeFileSync(join(layout, 'README.md'), 'x')
  pack(layout, archive, 'README.md', 'blobs', 'oci-layout')
  await refused('without index.json', /index\.json is not in it/)
  pack(layout, archive, 'README.md', 'blobs', 'index.json')
  await refused('without oci-layout', /oci-layout is not in it/)
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
