import { execFile } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'brittle'

const BINDING = fileURLToPath(new URL('../../../src/fuse/protocol/binding.js', import.meta.url))
/** Tells which library is said to serve, and which one the process has mapped. */
const SCRIPT = `
  import(${JSON.stringify(BINDING)}).then(({ loadFuse }) => {
    const { library, Fuse, addon } = loadFuse()
    const maps = require('node:fs').readFileSync('/proc/self/maps', 'utf8')
    const mapped = [...new Set(maps.match(/\\/\\S*libfuse\\S*/g))]
    const isWhole = typeof Fuse === 'function' && typeof addon.fuse_native_unmount === 'function'
    console.log(JSON.stringify({ library, mapped, isWhole }))
  })
`

interface Loaded {
  readonly library: 'system' | 'bundled'
  readonly mapped: readonly string[]
  readonly isWhole: boolean
}

const { lib: BUNDLED } = createRequire(import.meta.url)('fuse-shared-library') as { lib: string }
const run = promisify(execFile)

void test('fuse-native loads with the bundled library where the system has none', async (t) => {
  // A private mount namespace in which every libfuse.so.2 of the system is an empty file.
  const hide = `
    for library in $(ldconfig -p | awk '/libfuse.so.2 /{print $NF}'); do
      mount --bind /dev/null "$(readlink -f "$library")" || exit 1
    done
    exec "$0" -e "$1"
  `
  const args = ['--mount', 'sh', '-c', hide, process.execPath, SCRIPT]
  const { stdout } = await run('unshare', args)
  t.alike(JSON.parse(stdout), { library: 'bundled', mapped: [BUNDLED], isWhole: true })
})

void test('fuse-native loads', async (t) => {
  const { stdout: cache } = await run('ldconfig', ['-p'])
  const [, system] = /libfuse\.so\.2 .* => (\S+)/.exec(cache) ?? []
  const { stdout } = await run(process.execPath, ['-e', SCRIPT])
  const { library, mapped, isWhole } = JSON.parse(stdout) as Loaded
  t.ok(isWhole)
  t.is(library, system === undefined ? 'bundled' : 'system')
  t.alike(mapped, [system === undefined ? BUNDLED : realpathSync(system)])
})
