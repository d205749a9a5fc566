import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { isContainerError } from '../../../src/core/errors.ts'
import { generatedLayers } from '../generated-images.ts'
import { handMadeImage, tool, unpack, writeIndex } from '../oci-images.ts'
import { readArchive, readLayout } from '../oci-reading.ts'
import { temporaryDirectory } from '../planted-tree.ts'
import { directoryLines } from '../tar-archives.ts'
import type { HandMadeLayer } from '../oci-images.ts'

const VARIANTS = 100 * Number(process.env['DAT_CONTAINER_FUZZ_TIMES'] ?? 1)
const SEED = Number(process.env['DAT_CONTAINER_FUZZ_SEED'] ?? 1)

/** Directories have the time at which a program unpacked something into them. */
const settle = (lines: readonly string[]): string[] =>
  lines.map((line) => line.replace(/ directory (\d+ \S+) \S+/, ' directory $1'))

/** What umoci makes of an image; undefined where it refuses it. Not every release of it reads zstd. */
async function unpacked(
  layout: string,
  layers: readonly HandMadeLayer[]
): Promise<readonly string[] | undefined> {
  const mediaType = 'application/vnd.oci.image.layer.v1.tar'
  const plain = layers.map(({ archive }) => ({ archive, content: archive, mediaType }))
  handMadeImage(layout, plain)
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as {
    manifests: [object]
  }
  const annotations = { 'org.opencontainers.image.ref.name': 'app' }
  const manifests = [{ ...index.manifests[0], annotations }]
  writeIndex(layout, JSON.stringify({ schemaVersion: 2, manifests }))
  try {
    return settle(await directoryLines(unpack(layout, `${layout}.bundle`)))
  } catch {
    return undefined
  }
}

async function read(layout: string): Promise<readonly string[] | undefined> {
  try {
    return settle((await readLayout(layout)).lines)
  } catch (error) {
    if (isContainerError(error, 'BAD_SOURCE')) return undefined
    throw error
  }
}

/** An archive of a layout among other members, in an order of the seed's, compressed or not. */
function packed(layout: string, seed: number): string {
  const archive = `${layout}.tar`
  writeFileSync(join(layout, 'NOTES'), 'x')
  const members = ['NOTES', 'oci-layout', 'blobs', 'index.json']
  const first = seed % members.length
  tool('tar', '-cf', archive, '-C', layout, ...members.slice(first), ...members.slice(0, first))
  if (seed % 3 > 0) return archive
  tool('zstd', '-q', archive)
  return `${archive}.zst`
}

void test('generated images are what umoci unpacks', { timeout: 600_000 }, async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  let same = 0
  let refused = 0
  for (let seed = SEED; seed < SEED + VARIANTS; seed++) {
    const layers = generatedLayers(seed)
    const layout = handMadeImage(join(place.path, `${seed}`), layers)
    const expected = await unpacked(`${layout}.plain`, layers)
    const lines = await read(layout)
    if (expected === undefined) refused++
    if (JSON.stringify(lines) === JSON.stringify(expected)) same++
    else t.alike(lines, expected, `seed ${seed}`)
    if (seed % 5 === 0 && lines !== undefined) {
      const again = await readArchive(packed(layout, seed))
      t.alike(settle(again.lines), lines, `seed ${seed}, in an archive`)
    }
    for (const end of ['', '.plain', '.plain.bundle']) {
      rmSync(`${layout}${end}`, { recursive: true, force: true })
    }
  }
  t.is(same, VARIANTS, `${refused} of them are refused by both`)
  t.ok(refused < VARIANTS / 5)
})
