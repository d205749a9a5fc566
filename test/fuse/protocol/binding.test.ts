import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'brittle'

const BINDING = fileURLToPath(new URL('../../../src/fuse/protocol/binding.js', import.meta.url))
const SCRIPT = `
  import(${JSON.stringify(BINDING)}).then(({ loadFuse }) => console.log(loadFuse().library))
`

void test('fuse-native loads with the bundled library where the system has none', async (t) => {
  // A private mount namespace in which every libfuse.so.2 of the system is an empty file.
  const hide = `
    for library in $(ldconfig -p | awk '/libfuse.so.2 /{print $NF}'); do
      mount --bind /dev/null "$(readlink -f "$library")" || exit 1
    done
    exec "$0" -e "$1"
  `
  const args = ['--mount', 'sh', '-c', hide, process.execPath, SCRIPT]
  const { stdout } = await promisify(execFile)('unshare', args)
  t.is(stdout.trim(), 'bundled')
})

void test('fuse-native loads', async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', SCRIPT])
  t.ok(['system', 'bundled'].includes(stdout.trim()))
})
