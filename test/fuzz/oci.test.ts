import { createHash } from 'node:crypto'
import test from 'brittle'
import * as fc from 'fast-check'
import { noBlob } from '../../src/image/oci/blob-store.ts'
import { findDockerImage } from '../../src/image/oci/docker-archive.ts'
import { findOciImage } from '../../src/image/oci/oci-layout.ts'
import { fuzz } from './fuzz.ts'
import { changedJson, jsonChanges } from './json-changes.ts'
import { mutate, mutations } from './mutations.ts'
import type { BlobStore } from '../../src/image/oci/blob-store.ts'
import type { JsonChange } from './json-changes.ts'

const MINUTES_5 = { timeout: 300_000 }
const LAYERS = ['1', '2'].map((digit) => `sha256:${digit.repeat(64)}`)
const CONFIG = {
  architecture: 'amd64',
  os: 'linux',
  config: {
    Entrypoint: ['/bin/sh'],
    Cmd: ['-c', 'true'],
    Env: ['A=b'],
    WorkingDir: '/srv',
    User: 'web:web',
    StopSignal: '3',
    ExposedPorts: { '80/tcp': {} },
    Volumes: { '../data': {} },
    Labels: { a: 'b' },
    Healthcheck: { Test: ['CMD', 'true'], Interval: 5e9, Retries: 3 }
  },
  rootfs: { type: 'layers', diff_ids: LAYERS }
}
const OCI = 'application/vnd.oci.image'

/** Files of an image in memory. */
class MemoryBlobs implements BlobStore {
  readonly files = new Map<string, Buffer>()

  async size(name: string): Promise<number | undefined> {
    return this.files.get(name)?.length
  }

  async *read(name: string, start = 0): AsyncGenerator<Buffer, void, undefined> {
    const file = this.files.get(name)
    if (file === undefined) throw noBlob(name)
    yield file.subarray(start)
  }

  /** @returns a descriptor, which is right whatever the content is */
  add(mediaType: string, content: string): { mediaType: string; digest: string; size: number } {
    const bytes = Buffer.from(content)
    const hex = createHash('sha256').update(bytes).digest('hex')
    this.files.set(`blobs/sha256/${hex}`, bytes)
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length }
  }
}

/** Which document is changed; its digest is made to fit again. */
const values = fc.record({
  what: fc.constantFrom('config', 'manifest', 'inner', 'index', 'layout'),
  changes: jsonChanges
})

function layout(changed: { what: string; changes: readonly JsonChange[] }): MemoryBlobs {
  const blobs = new MemoryBlobs()
  const text = (what: string, document: object): string => {
    const json = JSON.stringify(document)
    return what === changed.what ? changedJson(json, changed.changes) : json
  }
  const config = blobs.add(`${OCI}.config.v1+json`, text('config', CONFIG))
  const layers = LAYERS.map((digest) => ({
    mediaType: `${OCI}.layer.v1.tar+gzip`,
    digest,
    size: 100
  }))
  const manifest = { schemaVersion: 2, config, layers, annotations: { a: 'b' } }
  const platform = { architecture: 'amd64', os: 'linux' }
  const annotations = { 'org.opencontainers.image.ref.name': 'app' }
  const inner = {
    manifests: [
      { ...blobs.add(`${OCI}.manifest.v1+json`, text('manifest', manifest)), platform },
      { ...blobs.add(`${OCI}.manifest.v1+json`, '{}'), platform: { architecture: 'x', os: 'y' } }
    ]
  }
  const index = {
    manifests: [{ ...blobs.add(`${OCI}.index.v1+json`, text('inner', inner)), annotations }]
  }
  blobs.files.set('index.json', Buffer.from(text('index', index)))
  const version = { imageLayoutVersion: '1.0.0' }
  blobs.files.set('oci-layout', Buffer.from(text('layout', version)))
  return blobs
}

void test('an OCI layout whose documents were changed', MINUTES_5, async (t) => {
  const found = await findOciImage(layout({ what: '', changes: [] }), 'oci')
  t.is(found.layers.length, LAYERS.length, 'it is found before it is changed')
  await fuzz(t, { cases: 20_000, accepted: 700 }, values, async (changed) => {
    const { layers } = await findOciImage(layout(changed), 'oci', {})
    for (const { name } of layers) {
      if (!/^blobs\/sha256\/[0-9a-f]{64}$/.test(name)) throw new Error(`a layer is ${name}`)
    }
  })
})

void test('a docker-archive whose documents were changed', MINUTES_5, async (t) => {
  const manifest = [
    { Config: 'c.json', RepoTags: ['app:1'], Layers: ['a/layer.tar', 'b/layer.tar'] }
  ]
  const changedOne = fc.record({
    manifest: fc.option(jsonChanges),
    config: fc.option(jsonChanges),
    bytes: fc.option(mutations)
  })
  await fuzz(t, { cases: 20_000, accepted: 150 }, changedOne, async ({ bytes, ...changed }) => {
    const blobs = new MemoryBlobs()
    const config = changedJson(JSON.stringify(CONFIG), changed.config ?? [])
    const text = Buffer.from(changedJson(JSON.stringify(manifest), changed.manifest ?? []))
    blobs.files.set('c.json', Buffer.from(config))
    blobs.files.set('manifest.json', bytes === null ? text : mutate(text, bytes))
    await findDockerImage(blobs)
  })
})
