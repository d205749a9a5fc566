import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { AtomicFile } from '../../../src/core/atomic-file.ts'
import { scanDirectory } from '../../../src/image/source/directory-source.ts'
import { isContainerError } from '../../../src/core/errors.ts'
import { exportImage } from '../../../src/image/export/oci-export.ts'
import type { ExportedImage, ExportImageOptions } from '../../../src/image/export/oci-export.ts'
import { layeredImage, tool } from '../oci-images.ts'
import { publish, readArchive, readLayout } from '../oci-reading.ts'
import type { Read } from '../oci-reading.ts'
import { temporaryDirectory } from '../planted-tree.ts'
import { directoryLines, plantForTar } from '../tar-archives.ts'

interface Inspected {
  readonly Architecture: string
  readonly Layers: readonly string[]
  readonly Digest: string
}

async function write(
  image: Read,
  path: string,
  options: ExportImageOptions = {}
): Promise<ExportedImage> {
  await using file = await AtomicFile.create(path)
  const exported = await exportImage(image, file, options)
  await file.commit()
  return exported
}

/** umoci unpacks layouts alone. */
function unpackArchive(archive: string, directory: string, tag: string): string {
  tool('skopeo', 'copy', '--quiet', `oci-archive:${archive}`, `oci:${directory}:${tag}`)
  tool('umoci', 'unpack', '--image', `${directory}:${tag}`, `${directory}-bundle`)
  return join(`${directory}-bundle`, 'rootfs')
}

void test('an OCI archive is one to skopeo and umoci, and the same each time', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const root = join(place.path, 'root')
  plantForTar(root)
  // umoci fills holes, so they had better be small.
  rmSync(join(root, 'sparse'))
  tool('truncate', '--size=2M', join(root, 'holes'))
  tool('dd', 'if=/etc/passwd', `of=${join(root, 'holes')}`, 'bs=64k', 'seek=10', 'conv=notrunc')
  tool('chmod', '600', join(root, 'holes'))
  const expected = await directoryLines(root)
  const image = await publish(await scanDirectory(root), new Date('2026-01-02T03:04:05.678Z'))
  for (const compression of ['gzip', 'zstd'] as const) {
    const archive = join(place.path, `${compression}.oci`)
    const exported = await write(image, archive, { compression })
    t.is(exported.entries, expected.length)
    const again = join(place.path, 'again.oci')
    await write(image, again, { compression })
    t.ok(readFileSync(archive).equals(readFileSync(again)), `${compression}: the same bytes`)
    const inspected = JSON.parse(tool('skopeo', 'inspect', `oci-archive:${archive}`)) as Inspected
    t.is(inspected.Architecture, image.manifest.arch, `${compression}: skopeo inspects it`)
    t.is(inspected.Digest, exported.digest)
    const copied = join(place.path, `${compression}-dir`)
    tool('skopeo', 'copy', '--quiet', `oci-archive:${archive}:test-image`, `dir:${copied}`)
    const layer = inspected.Layers[0]!.replace('sha256:', '')
    const hash = createHash('sha256')
      .update(readFileSync(join(copied, layer)))
      .digest('hex')
    t.is(hash, layer, `${compression}: skopeo copies it`)
    t.alike((await readArchive(archive)).lines, expected, `${compression}: as it was`)
    if (compression === 'zstd') continue
    const unpacked = unpackArchive(archive, join(place.path, 'layout'), 'test')
    // Go's archive/tar reads an empty pax record as none.
    const readable = expected.map((line) => line.replace('trusted.empty=,', ''))
    t.alike(await directoryLines(unpacked), readable, 'umoci unpacks it')
  }
})

void test('how an image starts goes in and out', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const image = await readLayout(layeredImage(place.path))
  const start = {
    ...image.manifest.start,
    healthcheck: { test: ['CMD', 'true'], intervalMs: 1_500, retries: 2 }
  }
  const archive = join(place.path, 'image.oci')
  await write({ ...image, manifest: { ...image.manifest, start } }, archive)
  const again = await readArchive(archive)
  t.alike(again.manifest.start, start)
  t.alike(again.lines, image.lines)

  const boots = { ...image.manifest, start: { mode: 'boot' } as const }
  await write({ ...image, manifest: boots }, archive)
  const { mode, argv, stopSignal } = (await readArchive(archive)).manifest.start
  t.alike([mode, argv, stopSignal], ['boot', ['/sbin/init'], 'SIGRTMIN+3'])
})

void test('a name that layers read otherwise is not exported', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const root = join(place.path, 'root')
  mkdirSync(join(root, 'dir'), { recursive: true })
  writeFileSync(join(root, 'dir/.wh.file'), '')
  const image = await publish(await scanDirectory(root))
  try {
    await write(image, join(place.path, 'image.oci'))
    t.fail('exported')
  } catch (error) {
    t.ok(isContainerError(error, 'BAD_SOURCE'))
  }
})
