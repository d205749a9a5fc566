import { join } from 'node:path'
import { readdirSync } from 'node:fs'
import test from 'brittle'
import { withCleanup } from '../../src/image/cleanup-stack.ts'
import { DirectoryBlobs } from '../../src/image/oci/blob-store.ts'
import { findImage } from '../../src/image/oci/find-image.ts'
import { openLayers } from '../../src/image/oci/layered-source.ts'
import { openArchive } from '../../src/image/oci/open-archive.ts'
import { publishTree } from '../../src/image/publish.ts'
import type { Manifest } from '../../src/image/manifest.ts'
import type { PublishSource } from '../../src/image/publish.ts'
import { MemoryStore } from './memory-store.ts'
import { layeredImage, tool, unpack } from './oci-images.ts'
import { temporaryDirectory } from './planted-tree.ts'
import { directoryLines } from './tar-archives.ts'
import { treeLines } from './tree-lines.ts'

interface Read {
  readonly lines: readonly string[]
  readonly manifest: Manifest
}

async function publish(source: PublishSource): Promise<Read> {
  const store = new MemoryStore()
  const { tree, manifest } = await publishTree(source, store, { name: 'test', threads: 1 })
  return { lines: await treeLines(tree, store.reader(tree)), manifest }
}

async function readLayout(path: string): Promise<Read> {
  return publish(await openLayers(await findImage(new DirectoryBlobs(path), {})))
}

async function readArchive(path: string): Promise<Read> {
  return withCleanup(async (cleanup) => publish(await openArchive(path, {}, cleanup)))
}

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
    argv: ['/usr/bin/env', 'sh', '-c', 'pwd; id -un; echo $GREETING'],
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
