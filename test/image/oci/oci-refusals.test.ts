import { createHash } from 'node:crypto'
import { appendFileSync, cpSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { join } from 'node:path'
import test from 'brittle'
import { isContainerError } from '../../../src/core/errors.ts'
import { parsePlatform } from '../../../src/image/oci/platform.ts'
import { handMadeImage, putBlob, writeIndex } from '../oci-images.ts'
import { readArchive, readLayout } from '../oci-reading.ts'
import { temporaryDirectory } from '../planted-tree.ts'
import { tool } from '../oci-images.ts'
import { tarOf } from '../tar-bytes.ts'

const OCI = 'application/vnd.oci.image'
/** How long one image may take before it counts as a hang. */
const HANG_MS = 5_000

/** The one line that an image is refused with; its code first. */
async function refusal(read: Promise<unknown>): Promise<string> {
  let timer: NodeJS.Timeout | undefined
  const hang = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it hangs')), HANG_MS)
  })
  try {
    await Promise.race([read, hang])
    return 'not refused'
  } catch (error) {
    if (!isContainerError(error) || error.message.includes('\n')) throw error
    return `${error.code} ${error.message} (${error.hint ?? ''})`
  } finally {
    clearTimeout(timer)
  }
}

void test('layers that are not what they should be are refused', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const layer = tarOf({ path: 'file', content: 'x'.repeat(5_000) })
  const packed = gzipSync(layer)
  const cases: [string, RegExp, (layout: string) => void][] = [
    ['missing', /blobs\/sha256\/\w+ is not in it/, (layout) => rmSync(layerBlob(layout))],
    [
      'cut',
      /has \d+ bytes where its manifest says \d+: it is cut/,
      (layout) => truncateSync(layerBlob(layout), 50)
    ],
    ['longer', /not the one in its manifest/, (layout) => appendFileSync(layerBlob(layout), 'x')],
    [
      'of another content',
      /layer 1 of 1: .*|does not have its digest/,
      (layout) => writeFileSync(layerBlob(layout), Buffer.alloc(packed.length, 1))
    ],
    [
      'a directory',
      /is not in it/,
      (layout) => {
        const path = layerBlob(layout)
        rmSync(path)
        mkdirSync(path)
      }
    ],
    [
      'a fifo',
      /is not in it/,
      (layout) => {
        const path = layerBlob(layout)
        rmSync(path)
        tool('mkfifo', path)
      }
    ]
  ]
  for (const [title, message, damage] of cases) {
    const layout = handMadeImage(join(place.path, title), [{ content: packed, archive: layer }])
    damage(layout)
    const said = await refusal(readLayout(layout))
    t.ok(said.startsWith('BAD_SOURCE bad image: ') && message.test(said), `${title}: ${said}`)
  }

  const hostile: [string, RegExp, Buffer][] = [
    ['up and out', /leads outside/, tarOf({ path: '../../etc/cron.d/x', content: 'x' })],
    [
      'through a symlink',
      /is not a directory/,
      tarOf({ path: 'a', type: '2', link: '/a' }, { path: 'a/b/c', content: 'x' })
    ],
    ['a whiteout of ..', /whiteout of no name/, tarOf({ path: 'dir/.wh...' })],
    ['a whiteout of nothing', /whiteout of no name/, tarOf({ path: '.wh.' })],
    ['a whiteout up and out', /leads outside/, tarOf({ path: '../../.wh.etc' })],
    ['a link to nothing', /is a hardlink to/, tarOf({ path: 'x', type: '1', link: 'no' })],
    ['a NUL', /./, Buffer.from('no tar archive at all')]
  ]
  for (const [title, message, archive] of hostile) {
    const layers = [
      { content: layer, archive: layer, mediaType: `${OCI}.layer.v1.tar` },
      { content: gzipSync(archive), archive }
    ]
    const said = await refusal(readLayout(handMadeImage(join(place.path, title), layers)))
    t.ok(said.startsWith('BAD_SOURCE bad image: layer 2 of 2'), title)
    t.ok(message.test(said), said)
  }

  const types: [string, RegExp][] = [
    [`${OCI}.layer.v1.tar+gzip+encrypted`, /encrypted.*decrypt it/],
    ['application/x-squashfs', /layer of unknown type application\/x-squashfs/]
  ]
  for (const [mediaType, message] of types) {
    const layers = [{ content: packed, archive: layer, mediaType }]
    const said = await refusal(readLayout(handMadeImage(join(place.path, mediaType), layers)))
    t.ok(message.test(said), said)
  }
  const foreign = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
  const layers = [{ content: packed, archive: layer, mediaType: foreign }]
  const read = await readLayout(handMadeImage(join(place.path, 'foreign'), layers))
  t.is(read.manifest.files, 1, 'a foreign layer that is there is a layer')

  const other = handMadeImage(join(place.path, 'diff'), [
    { content: packed, archive: Buffer.from('of another archive') }
  ])
  t.ok(/does not contain the archive/.test(await refusal(readLayout(other))), 'a wrong diff_id')
})

void test('manifests and indexes that are absurd are refused', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const archive = tarOf({ path: 'file', content: 'x' })
  const layer = { content: archive, archive, mediaType: `${OCI}.layer.v1.tar` }
  const index = (manifests: unknown): string => JSON.stringify({ schemaVersion: 2, manifests })
  const descriptor = (size: unknown): object => ({
    mediaType: `${OCI}.manifest.v1+json`,
    digest: `sha256:${'0'.repeat(64)}`,
    size
  })
  const cases: [string, RegExp, (layout: string) => void][] = [
    ['no JSON', /index.json is no JSON/, (layout) => writeIndex(layout, '{')],
    ['a list', /is not a list/, (layout) => writeIndex(layout, '[]')],
    ['nested JSON', /./, (layout) => writeIndex(layout, '['.repeat(1_000_000))],
    ['large JSON', /too many for JSON/, (layout) => writeIndex(layout, ' '.repeat(5_000_000))],
    ['none', /it holds none/, (layout) => writeIndex(layout, index([]))],
    ['a count', /is not a list/, (layout) => writeIndex(layout, index({ length: 1e9 }))],
    [
      'many',
      /not a list, or is too long/,
      (layout) => writeIndex(layout, index(Array.from({ length: 5_000 }, () => descriptor(1))))
    ],
    ['a size', /size is not a number/, (layout) => writeIndex(layout, index([descriptor(1e300)]))],
    ['a negative', /size is not a number/, (layout) => writeIndex(layout, index([descriptor(-1)]))],
    ['a missing one', /is not in it/, (layout) => writeIndex(layout, index([descriptor(1)]))],
    [
      'a path for a digest',
      /digest does not parse/,
      (layout) =>
        writeIndex(layout, index([{ ...descriptor(1), digest: 'sha256:../../../etc/passwd' }]))
    ],
    [
      'nested',
      /nest too deep/,
      (layout) => {
        for (let i = 0; i < 10; i++) {
          const inner = readFileSync(join(layout, 'index.json'), 'utf8')
          writeIndex(layout, index([putBlob(layout, `${OCI}.index.v1+json`, inner)]))
        }
      }
    ],
    [
      'that fan out',
      /more than 4096 manifests/,
      (layout) => {
        const fill = (first: number): object => {
          const digests = Array.from({ length: 3_000 }, (_, i) => (first + i).toString(16))
          const manifests = digests.map((hex) => ({
            ...descriptor(1),
            digest: `sha256:${hex.padStart(64, '0')}`
          }))
          return putBlob(layout, `${OCI}.index.v1+json`, index(manifests))
        }
        writeIndex(layout, index([fill(0), fill(3_000)]))
      }
    ],
    [
      'cyclic',
      /does not have its digest|has \d+ bytes where/,
      (layout) => {
        const own = `${OCI}.index.v1+json`
        const blob = putBlob(layout, own, 'to be replaced')
        const cycle = index([{ ...blob, size: 999 }])
        writeFileSync(join(layout, 'blobs', blob.digest.replace(':', '/')), cycle.padEnd(999))
        writeIndex(layout, cycle)
      }
    ],
    [
      'an artifact',
      /holds application\/vnd.example\+json, no container image/,
      (layout) => {
        const config = putBlob(layout, 'application/vnd.example+json', '{}')
        const text = JSON.stringify({ schemaVersion: 2, config, layers: [] })
        writeIndex(layout, index([putBlob(layout, `${OCI}.manifest.v1+json`, text)]))
      }
    ],
    [
      'an old layout',
      /layout has version 0.9/,
      (layout) =>
        writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '0.9' }))
    ]
  ]
  for (const [title, message, damage] of cases) {
    const layout = handMadeImage(join(place.path, title), [layer])
    damage(layout)
    const said = await refusal(readLayout(layout))
    t.ok(said.startsWith('BAD_SOURCE bad image: ') && message.test(said), `${title}: ${said}`)
  }

  const configs: [string, RegExp, object][] = [
    ['of Windows', /an image for windows/, { os: 'windows' }],
    ['with layers of its own', /names 2/, { rootfs: { diff_ids: twice(archive) } }],
    ['with no text', /Cmd is not text/, { config: { Cmd: [1] } }],
    ['with a list', /Labels is no object/, { config: { Labels: ['x'] } }],
    ['with control characters', /control characters/, { config: { User: 'a\u001b[2J' } }],
    ['with no signal', /does not exist/, { config: { StopSignal: '99' } }],
    ['with large labels', /larger than a manifest/, { config: { Labels: largeLabels() } }],
    ['with much', /not a list, or is/, { config: { Env: Array(5_000).fill('A=B') } }]
  ]
  for (const [title, message, config] of configs) {
    const said = await refusal(readLayout(handMadeImage(join(place.path, title), [layer], config)))
    t.ok(said.startsWith('BAD_SOURCE bad image: ') && message.test(said), `${title}: ${said}`)
  }
})

function largeLabels(): Record<string, string> {
  return Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`${i}`, 'x'.repeat(20_000)]))
}

function twice(archive: Buffer): string[] {
  const digest = `sha256:${createHash('sha256').update(archive).digest('hex')}`
  return [digest, digest]
}

function layerBlob(layout: string): string {
  const directory = join(layout, 'blobs/sha256')
  const blobs = readdirSync(directory).map((name) => join(directory, name))
  // The others are JSON.
  return blobs.find((path) => readFileSync(path)[0] !== 0x7b)!
}

void test('of several platforms and tags, the one that is asked for', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const image = (name: string, config: object): object => {
    const archive = tarOf({ path: name, content: name })
    const layer = { content: archive, archive, mediaType: `${OCI}.layer.v1.tar` }
    const layout = handMadeImage(join(place.path, name), [layer], config)
    cpSync(join(layout, 'blobs'), join(place.path, 'all/blobs'), { recursive: true })
    cpSync(join(layout, 'oci-layout'), join(place.path, 'all/oci-layout'))
    const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as Index
    return index.manifests[0]!
  }
  const platform = (architecture: string, variant?: string): object => ({
    platform: { os: 'linux', architecture, ...(variant && { variant }) }
  })
  const all = join(place.path, 'all')
  const amd64 = { ...image('amd64', {}), ...platform('amd64') }
  const arm64 = { ...image('arm64', { architecture: 'arm64' }), ...platform('arm64', 'v8') }
  const v6 = { ...image('v6', { architecture: 'arm', variant: 'v6' }), ...platform('arm', 'v6') }
  const v7 = { ...image('v7', { architecture: 'arm', variant: 'v7' }), ...platform('arm', 'v7') }
  const note = {
    ...image('note', {}),
    platform: { os: 'unknown', architecture: 'unknown' },
    annotations: { 'vnd.docker.reference.type': 'attestation-manifest' }
  }
  const blob = (manifests: object[]): object =>
    putBlob(all, `${OCI}.index.v1+json`, JSON.stringify({ schemaVersion: 2, manifests }))
  writeIndex(all, JSON.stringify({ manifests: [blob([v6, arm64, amd64, v7, note])] }))
  const wanted: [string | undefined, string][] = [
    ['linux/arm64', 'arm64'],
    ['aarch64', 'arm64'],
    ['linux/arm', 'v7'],
    ['linux/arm/v6', 'v6'],
    ['linux/arm/v8', 'v7'],
    ['linux/arm64/v9', 'arm64'],
    ['linux/amd64/v2', 'amd64'],
    ['linux/amd64/v1', 'amd64'],
    ['amd64', 'amd64'],
    [undefined, process.arch === 'arm64' ? 'arm64' : 'amd64']
  ]
  for (const [text, name] of wanted) {
    const choice = text === undefined ? {} : { platform: parsePlatform(text) }
    const { lines, manifest } = await readLayout(all, choice)
    t.ok(lines[1]?.startsWith(`${name} file`), `${text}: ${name}`)
    t.is(manifest.arch, name.startsWith('v') ? 'arm' : name)
  }
  t.is(
    await refusal(readLayout(all, { platform: parsePlatform('linux/s390x') })),
    'NOT_FOUND the image is not for linux/s390x (choose with --platform; it is for ' +
      'linux/amd64, linux/arm/v6, linux/arm/v7, linux/arm64/v8)'
  )

  const tagged = (descriptor: object, tag: string): object => ({
    ...descriptor,
    annotations: { 'org.opencontainers.image.ref.name': tag }
  })
  writeIndex(all, JSON.stringify({ manifests: [tagged(arm64, 'a'), tagged(amd64, 'b')] }))
  t.ok(/USAGE the layout holds several images: a, b/.test(await refusal(readLayout(all))))
  t.ok(/NOT_FOUND .*"c".*a, b/.test(await refusal(readLayout(all, { tag: 'c' }))))
  t.is((await readLayout(all, { tag: 'a' })).manifest.arch, 'arm64', 'by its tag')
  writeIndex(all, JSON.stringify({ manifests: [arm64] }))
  t.is((await readLayout(all)).manifest.arch, 'arm64', 'the only one, whatever it is for')
})

interface Index {
  readonly manifests: readonly object[]
}

void test('archives that hold half an image are refused, and others are files', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const archive = tarOf({ path: 'file', content: 'x'.repeat(100_000) })
  const layers = [{ content: archive, archive, mediaType: `${OCI}.layer.v1.tar` }]
  const layout = handMadeImage(join(place.path, 'image'), layers)
  const packed = join(place.path, 'image.tar')
  tool('tar', '-c', '-f', packed, '-C', layout, 'blobs', 'index.json', 'oci-layout')
  t.is((await readArchive(packed)).manifest.source.kind, 'oci')
  const { size } = statSync(packed)
  for (const bytes of [size - 10_240 - 100, size / 2, 600]) {
    truncateSync(packed, bytes)
    const said = await refusal(readArchive(packed))
    t.ok(/^BAD_SOURCE bad (image|archive): /.test(said), `${bytes} bytes: ${said}`)
  }

  const docker = tarOf({
    path: 'manifest.json',
    content: '[{"Config":"c.json","Layers":["../x"]}]'
  })
  writeFileSync(packed, docker)
  t.ok(/c.json is not in it/.test(await refusal(readArchive(packed))), 'a config that is not there')
  writeFileSync(packed, tarOf({ path: 'a.json', content: '{}' }, { path: 'etc/x', content: 'y' }))
  t.is((await readArchive(packed)).manifest.source.kind, 'tar', 'files')
})
