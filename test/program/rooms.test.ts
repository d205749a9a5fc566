import { spawnSync } from 'node:child_process'
import { mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import test from 'brittle'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const SRC = join(ROOT, 'src')
const CONFIG = join(ROOT, 'oxlint.config.mjs')
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

void test('what is loaded late obeys the plan, too', async (t) => {
  const rooms = await plan()
  const upwards: string[] = []
  let seen = 0
  for (const path of sources()) {
    const place = rooms.indexOf(dirname(path))
    for (const [, target = ''] of readFileSync(join(SRC, path), 'utf8').matchAll(
      /import\('(\.[^']+\.ts)'\)/g
    )) {
      seen++
      const room = relative(SRC, dirname(join(SRC, dirname(path), target)))
      if (rooms.indexOf(room) > place) upwards.push(`${path} → ${target}`)
    }
  }
  t.ok(seen > 50, `${seen} late imports were looked at`)
  t.alike(upwards, [])
})

void test('the linter refuses an import that points up and one through a wall', (t) => {
  const planted = {
    'src/boot/state/up.ts':
      "import { sweep } from '../containers/sweep.ts'\nexport const up = sweep\n",
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
    const refused = diagnostics.filter(({ code }) => code.includes('no-restricted-imports'))
    t.alike(
      refused.map(({ filename, help }) => `${filename}: ${help.split(':')[0]}`).sort(),
      [
        'src/boot/state/up.ts: src/boot/state must not know src/boot/containers',
        'src/session/read/server.ts: src/session/read must not know src/p2p/transfer'
      ],
      'two of the three'
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
})

async function plan(): Promise<string[]> {
  const config = (await import(pathToFileURL(CONFIG).href)) as { ROOMS: string[] }
  return config.ROOMS
}

/** Paths below src. */
function sources(): string[] {
  return readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.ts')
  )
}
