import { readFileSync } from 'node:fs'
import test from 'brittle'
import { withoutAbsent, type NodeLock } from '../../scripts/node-lock.ts'

const LOCK = new URL('../../../package-lock.json', import.meta.url)
/** An optional dependency for one platform, and what depends on it. */
const BINDING = '@oxlint/binding-darwin-arm64'
const OWNER = 'node_modules/oxlint'

test('the committed package-lock.json is one that npm ci takes, on each platform', (t) => {
  const lock = JSON.parse(readFileSync(LOCK, 'utf8')) as NodeLock
  t.alike(withoutAbsent(lock), { lock, absent: [] }, 'all optional packages have their entries')

  const { [`node_modules/${BINDING}`]: _binding, ...others } = lock.packages
  const renewed = withoutAbsent({ ...lock, packages: others })
  t.alike(renewed.absent, [`${BINDING} of ${OWNER}`], 'one that has none is found')
  const names = Object.keys(renewed.lock.packages[OWNER]?.optionalDependencies ?? {})
  t.ok(names.length > 1 && !names.includes(BINDING), 'and left out alone')

  const nested = {
    packages: {
      '': {},
      'node_modules/a': {},
      'node_modules/a/node_modules/b': { optionalDependencies: { c: '1', d: '1', e: '1' } },
      'node_modules/a/node_modules/c': {},
      'node_modules/d': {}
    }
  }
  t.alike(withoutAbsent(nested).absent, ['e of node_modules/a/node_modules/b'])
})
