import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { signalName } from '../../../src/image/oci/stop-signal.ts'
import { parsePlatform, platformRank } from '../../../src/image/oci/platform.ts'
import { handMadeImage, putBlob, writeIndex } from '../oci-images.ts'
import { readLayout, refusalOf } from '../oci-reading.ts'
import { temporaryDirectory } from '../planted-tree.ts'
import { tarOf } from '../tar-bytes.ts'

const archive = tarOf({ path: 'file', content: 'x' })
const layer = { content: archive, archive, mediaType: 'application/vnd.oci.image.layer.v1.tar' }

void test('stop signals by name, by number and of real time', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const signals: [unknown, string | undefined][] = [
    ['37', 'SIGRTMIN+3'],
    [37, 'SIGRTMIN+3'],
    ['SIGRTMIN+3', 'SIGRTMIN+3'],
    ['rtmin+3', 'SIGRTMIN+3'],
    ['SIGRTMIN+5', '39'],
    ['SIGRTMAX-1', '63'],
    ['64', '64'],
    ['RTMIN', '34'],
    [3, 'SIGQUIT'],
    ['quit', 'SIGQUIT'],
    ['SIGTERM', 'SIGTERM'],
    ['', undefined],
    [null, undefined]
  ]
  for (const [n, [given, expected]] of signals.entries()) {
    const config = { config: { StopSignal: given } }
    const { manifest } = await readLayout(handMadeImage(join(place.path, `${n}`), [layer], config))
    t.is(manifest.start.stopSignal, expected, JSON.stringify(given))
  }
  for (const none of ['0', '65', 'RTMIN+31', 'RTMAX-31', '33']) {
    t.exception(() => signalName(none), /does not exist/, none)
  }
})

void test('a config without a type of its own, in a manifest of Docker', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const withConfig = (title: string, manifestType: string, configType: string): string => {
    const layout = handMadeImage(join(place.path, title), [layer])
    const read = (path: string): unknown => JSON.parse(readFileSync(join(layout, path), 'utf8'))
    const { manifests } = read('index.json') as { manifests: [{ digest: string }] }
    const path = `blobs/${manifests[0].digest.replace(':', '/')}`
    const manifest = read(path) as { config: object }
    const config = { ...manifest.config, mediaType: configType }
    const text = JSON.stringify({ ...manifest, mediaType: manifestType, config })
    const descriptor = putBlob(layout, manifestType, text)
    writeIndex(layout, JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }))
    return layout
  }
  const docker = 'application/vnd.docker.distribution.manifest.v2+json'
  const oci = 'application/vnd.oci.image.manifest.v1+json'
  const old = withConfig('old', docker, 'application/octet-stream')
  t.is((await readLayout(old)).manifest.files, 1)
  // An OCI manifest with such a config is an artifact, not an image.
  const artifact = await refusalOf(
    readLayout(withConfig('artifact', oci, 'application/octet-stream'))
  )
  t.ok(/no container image/.test(artifact), artifact)
})

void test('of variants, the same or the next lower one', (t) => {
  const best = (wanted: string, ...there: string[]): string | undefined => {
    const ranks = there.map((one) => platformRank(parsePlatform(one), parsePlatform(wanted)))
    const most = Math.max(...ranks)
    return most === 0 ? undefined : there[ranks.indexOf(most)]
  }
  const arm = ['linux/arm/v5', 'linux/arm/v6', 'linux/arm/v7']
  t.is(best('linux/arm/v6', ...arm), 'linux/arm/v6')
  t.is(best('linux/arm/v6', 'linux/arm/v5', 'linux/arm/v7'), 'linux/arm/v5')
  t.is(best('linux/arm', ...arm), 'linux/arm/v7')
  t.is(best('linux/arm', 'linux/arm/v5', 'linux/arm/v6'), 'linux/arm/v6')
  t.is(best('linux/arm/v5', 'linux/arm/v6', 'linux/arm/v7'), undefined, 'not upwards')
  t.is(best('linux/arm/7', ...arm), 'linux/arm/v7')
  const amd = ['linux/amd64', 'linux/amd64/v2', 'linux/amd64/v3']
  t.is(best('linux/amd64/v2', 'linux/amd64', 'linux/amd64/v3'), 'linux/amd64')
  t.is(best('linux/amd64/v4', ...amd), 'linux/amd64/v3')
  t.is(best('linux/amd64/v1', ...amd), 'linux/amd64')
  t.is(best('linux/amd64', ...amd.toReversed()), 'linux/amd64')
  t.is(best('linux/amd64', 'linux/amd64/v3', 'linux/amd64/v2'), 'linux/amd64/v2', 'the lowest')
  t.is(best('linux/arm64', 'linux/arm64/v9', 'linux/arm64'), 'linux/arm64')
  t.is(best('linux/arm64/v9', 'linux/arm64/v8'), 'linux/arm64/v8')
  t.is(best('linux/amd64', 'linux/386'), undefined)
})
