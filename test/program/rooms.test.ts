import { spawnSync } from 'node:child_process'
import { mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import test from 'brittle'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const SRC = join(ROOT, 'src')
const CONFIG = join(ROOT, 'oxlint.config.mjs')
/** What the page has beside its program. */
const PAGE_FILES = /^page\/[^/]+\.(html|css|svg|json)$/
/** A room with more files is two. */
const MOST_FILES = 24

void test('each folder of src is a room of the plan, and none is crowded', async (t) => {
  const rooms = await plan()
  const counts = new Map<string, number>()
  for (const path of sources()) {
    const room = dirname(path)
    counts.set(room, (counts.get(room) ?? 0) + 1)
  }
  t.alike([...counts.keys()].sort(), [...rooms].sort(), 'folders that hold files')
  t.alike(
    [...counts].filter(([, count]) => count > MOST_FILES),
    [],
    'crowded rooms'
  )
})

void test('files of src end in .ts but for those of the page, and name what they load late in quotes', (t) => {
  const files = readdirSync(SRC, { recursive: true, withFileTypes: true })
  const paths = files
    .filter((file) => file.isFile())
    .map((file) => relative(SRC, join(file.parentPath, file.name)))
  const others = paths.filter((path) => !path.endsWith('.ts') && !PAGE_FILES.test(path))
  t.alike(others, [], 'the rules of rooms are about .ts')
  const unread: string[] = []
  let seen = 0
  for (const path of sources()) {
    for (const [call, quote] of textOf(path).matchAll(/\bimport\(\s*(.)/g)) {
      seen++
      if (quote !== "'") unread.push(`${path}: ${call}`)
    }
  }
  t.ok(seen > 50, `${seen} late imports were looked at`)
  t.alike(unread, [], 'the linter reads no computed names')
})

void test('commands load the server only when a verb needs it', (t) => {
  const loaded: string[] = []
  let seen = 0
  for (const path of sources().filter((each) => each.startsWith('cli/'))) {
    for (const [, type, target = ''] of textOf(path).matchAll(
      /^(?:import|export)( type)?\b[^'(]*'(\.[^']+)'/gm
    )) {
      seen++
      const room = relative(SRC, dirname(join(SRC, dirname(path), target)))
      if (type === undefined && /^(daemon|p2p\/.)/.test(room)) loaded.push(`${path} → ${target}`)
    }
  }
  t.ok(seen > 200, `${seen} imports were looked at`)
  t.alike(loaded, [])
})

void test('the linter refuses imports that point up or through a wall, however they are written', (t) => {
  const planted = {
    'src/boot/state/up.ts':
      "import { sweep } from '../containers/sweep.ts'\nexport const up = sweep\n",
    'src/boot/state/detour.ts': "export { sweep } from '../../boot/containers/sweep.ts'\n",
    'src/boot/state/dot.ts': "export { sweep } from './../containers/sweep.ts'\n",
    'src/boot/state/late.ts': "export const late = await import('../containers/sweep.ts')\n",
    'src/boot/state/through.ts': "export { sweep } from '../root/../containers/sweep.ts'\n",
    'src/boot/state/type.ts': "export type Up = import('../containers/sweep.ts').Sweep\n",
    'src/fuse/plain/store.ts': "export { Store } from '../../p2p/store/store.ts'\n",
    'src/session/read/server.ts':
      "import { BlockFetcher } from '../../p2p/transfer/block-fetcher.ts'\nexport const server = BlockFetcher\n",
    'src/machine/guest/down.ts':
      "import { openHome } from '../../home/home.ts'\nexport const down = openHome\n"
  }
  const folder = mkdtempSync(join(tmpdir(), 'dat-rooms-'))
  try {
    for (const [path, text] of Object.entries(planted)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), text)
    }
    writeFileSync(join(folder, 'oxlint.config.mjs'), readFileSync(CONFIG))
    const oxlint = join(ROOT, 'node_modules/.bin/oxlint')
    const args = ['-c', 'oxlint.config.mjs', '-f', 'json', 'src']
    const { stdout } = spawnSync(oxlint, args, { cwd: folder, encoding: 'utf8' })
    const { diagnostics } = JSON.parse(stdout) as {
      diagnostics: { code: string; filename: string; help: string }[]
    }
    const refused = diagnostics.filter(({ code }) =>
      /no-restricted-imports|consistent-type-imports/.test(code)
    )
    t.alike(
      refused.map(({ filename, help }) => `${filename}: ${help.split(/[:.]/)[0]}`).sort(),
      [
        'src/boot/state/detour.ts: src/boot/state must name files by the shortest path',
        'src/boot/state/dot.ts: src/boot/state must name files by the shortest path',
        'src/boot/state/late.ts: src/boot/state must not know src/boot/containers',
        'src/boot/state/through.ts: src/boot/state must name files by the shortest path',
        'src/boot/state/type.ts: Replace `import()` type annotations with a regular type import',
        'src/boot/state/up.ts: src/boot/state must not know src/boot/containers',
        'src/fuse/plain/store.ts: src/fuse/plain must not know src/p2p/store',
        'src/session/read/server.ts: src/session/read must not know src/p2p/transfer'
      ],
      'all but the one that points down'
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
})

async function plan(): Promise<string[]> {
  const config = (await import(pathToFileURL(CONFIG).href)) as { ROOMS: string[] }
  return config.ROOMS
}

function textOf(path: string): string {
  return readFileSync(join(SRC, path), 'utf8')
}

/** Paths below src. */
function sources(): string[] {
  return readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.ts')
  )
}
