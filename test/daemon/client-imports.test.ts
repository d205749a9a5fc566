import { execFileSync } from 'node:child_process'
import test from 'brittle'

/** Packages that only the daemon needs; each command and each mounter would load them for nothing. */
const DAEMON_ONLY = [
  'hypercore',
  'hyperdrive',
  'hyperswarm',
  'hyperdht',
  'corestore',
  'rocksdb-native'
]

void test('what talks to the daemon loads none of its store and swarm', (t) => {
  for (const name of ['daemon/client', 'daemon/open-image', 'daemon/publish-source']) {
    const url = new URL(`../../src/${name}.js`, import.meta.url).href
    const script = `import(${JSON.stringify(url)}).then(() => {
      console.log(Object.keys(require.cache).join('\\n'))
    })`
    const loaded = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' }).split('\n')
    t.ok(
      loaded.some((path) => path.includes('/protomux/')),
      `${name}: packages are seen`
    )
    const unwanted = DAEMON_ONLY.filter((name) =>
      loaded.some((path) => path.includes(`/node_modules/${name}/`))
    )
    t.alike(unwanted, [], name)
  }
})
