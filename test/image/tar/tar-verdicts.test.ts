import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { isContainerError } from '../../../src/core/errors.ts'
import { openTar } from '../../../src/image/tar/tar-source.ts'
import { handMadeImage, unpack, writeIndex } from '../oci-images.ts'
import { publish, readLayout } from '../oci-reading.ts'
import { ODD_ARCHIVES } from '../odd-archives.ts'
import { temporaryDirectory } from '../planted-tree.ts'
import { directoryLines } from '../tar-archives.ts'

type Verdict = 'read' | 'read, notice' | 'refused'

interface Judgement {
  readonly verdict: Verdict
  /** Names and content; none where it is refused. */
  readonly lines: readonly string[]
}

/** The versions that the table's other columns are of; others may judge otherwise. */
const PINNED = { tar: 'tar (GNU tar) 1.34', bsdtar: 'bsdtar 3.6.2' }
const TABLE = new URL('../../../../docs/tar-archives.md', import.meta.url)

/** Rows of the table, without its head: what an input is, then the verdicts. */
function tableRows(): Map<string, readonly string[]> {
  const rows = readFileSync(TABLE, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map((cells) => [cells[1]!, cells.slice(2, 5)] as const)
  return new Map(rows.slice(2))
}

/** Lines without owners, modes, times of directories and link counts that only one of two has. */
function plain(lines: readonly string[]): string[] {
  return lines
    .filter((line) => !line.startsWith(' '))
    .map((line) => {
      const [name = '', ...rest] = line.split(' ')
      return rest[0] === '=' ? line : [name, rest[0], rest[3], ...rest.slice(-2)].join(' ')
    })
}

async function ours(path: string, ignoreZeros = false): Promise<Judgement & { notices: string[] }> {
  const notices: string[] = []
  try {
    const source = await openTar(path, { ignoreZeros, onNotice: (text) => notices.push(text) })
    const lines = plain((await publish(source)).lines)
    return { verdict: notices.length === 0 ? 'read' : 'read, notice', lines, notices }
  } catch (error) {
    if (!isContainerError(error, 'BAD_SOURCE') || error.message.includes('\n')) throw error
    return { verdict: 'refused', lines: [], notices }
  }
}

async function judge(program: 'tar' | 'bsdtar', path: string, into: string): Promise<Judgement> {
  rmSync(into, { recursive: true, force: true })
  mkdirSync(into)
  const { status, stderr } = spawnSync(program, ['-x', '-p', '-f', path, '-C', into])
  if (status !== 0) return { verdict: 'refused', lines: [] }
  const verdict = stderr.length === 0 ? 'read' : 'read, notice'
  return { verdict, lines: plain(await directoryLines(into)) }
}

function isPinned(program: 'tar' | 'bsdtar'): boolean {
  return String(spawnSync(program, ['--version']).stdout).startsWith(PINNED[program])
}

void test(
  'odd archives are judged as docs/tar-archives.md says',
  { timeout: 120_000 },
  async (t) => {
    const place = temporaryDirectory()
    t.teardown(place.remove)
    const rows = tableRows()
    t.alike([...rows.keys()], Object.keys(ODD_ARCHIVES), 'every row has its archive')
    const programs = (['tar', 'bsdtar'] as const).map((name) => ({ name, pinned: isPinned(name) }))
    for (const [what, bytes] of Object.entries(ODD_ARCHIVES)) {
      const path = join(place.path, 'archive.tar')
      writeFileSync(path, bytes)
      const here = await ours(path)
      const judged = [here.verdict]
      for (const [column, { name, pinned }] of programs.entries()) {
        const other = await judge(name, path, join(place.path, 'extracted'))
        judged.splice(column, 0, pinned ? other.verdict : (rows.get(what)?.[column] as Verdict))
        const isSame = JSON.stringify(other.lines) === JSON.stringify(here.lines)
        if (other.verdict !== 'refused' && here.verdict !== 'refused' && !isSame) {
          judged[column] = `${judged[column]!}, differently` as Verdict
        }
      }
      t.alike(rows.get(what), judged, `${what}: ${here.notices.join('; ')}`)
    }
  }
)

void test('--ignore-zeros reads what GNU tar reads with it', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const path = join(place.path, 'archive.tar')
  const into = join(place.path, 'extracted')
  for (const what of [
    'two archives joined by `cat`',
    'two compressed archives joined',
    'one record of zeros in the middle',
    'no records at the end',
    'only the end marker',
    'a hardlink with pax, a size and no data'
  ]) {
    writeFileSync(path, ODD_ARCHIVES[what]!)
    const all = await ours(path, true)
    mkdirSync(into)
    const { status } = spawnSync('tar', ['-x', '-p', '-i', '-f', path, '-C', into])
    t.is(status, 0)
    t.alike(all.lines, plain(await directoryLines(into)), what)
    t.is(all.verdict, 'read', `${what}, without a notice`)
    rmSync(into, { recursive: true })
  }
})

void test('layers that are odd are what umoci makes of them, or refused', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const layers = {
    'no records at the end': 'read',
    'text after the end': 'read',
    'two archives joined by `cat`': 'read',
    'a hardlink with a size and no data': 'read',
    'a hardlink with pax, a size and no data': 'read',
    'the same at the end': 'read',
    'pax mtime of 40 digits after the point': 'read',
    'one record of zeros in the middle': 'refused',
    'cut in a file': 'refused',
    'an unknown type': 'refused'
  }
  for (const [what, verdict] of Object.entries(layers)) {
    const archive = ODD_ARCHIVES[what]!
    const mediaType = 'application/vnd.oci.image.layer.v1.tar'
    const directory = join(place.path, what)
    const layout = handMadeImage(directory, [{ content: archive, archive, mediaType }])
    const image = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as {
      manifests: [object]
    }
    const annotations = { 'org.opencontainers.image.ref.name': 'app' }
    const manifests = [{ ...image.manifests[0], annotations }]
    writeIndex(layout, JSON.stringify({ schemaVersion: 2, manifests }))
    const read = await readLayout(layout).catch((error: unknown) => {
      if (!isContainerError(error, 'BAD_SOURCE')) throw error
      return undefined
    })
    t.is(read === undefined ? 'refused' : 'read', verdict, what)
    if (read === undefined) {
      t.exception(() => unpack(layout, `${directory} bundle`), `${what}, and umoci too`)
      continue
    }
    const unpacked = await directoryLines(unpack(layout, `${directory} bundle`))
    t.alike(plain(read.lines), plain(unpacked), `${what}, as umoci`)
  }
})
