import test from 'brittle'
import { isContainerError } from '../../../src/core/errors.ts'
import { parseBind } from '../../../src/boot/state/bind-option.ts'
import { guestVolume, pathInGuest, sharesFor } from '../../../src/machine/guest/guest-volumes.ts'

const SHARES = [
  { source: '/srv/site', target: '/mnt/site', readOnly: true },
  { source: '/', target: '/mnt/all', readOnly: false }
]

void test('volumes are where the machine’s shares are', (t) => {
  const [site, all] = SHARES
  const cases: [string, typeof SHARES, string | undefined][] = [
    ['/srv/site', [site!], '/mnt/site'],
    ['/srv/site/a/b', [site!], '/mnt/site/a/b'],
    ['/srv/site2', [site!], undefined],
    ['/srv', [site!], undefined],
    ['/srv/..site', [site!], undefined],
    ['/srv/site/..a', [site!], '/mnt/site/..a'],
    ['/etc', [site!, all!], '/mnt/all/etc'],
    ['/etc', [], undefined]
  ]
  for (const [source, shares, expected] of cases)
    t.is(pathInGuest(source, shares), expected, source)
})

void test('a machine that starts shares what volumes want, beside what it shared before', (t) => {
  const volumes = ['/a/b:/x', '/a/b:/y:ro', '/srv/site/c:/z'].map(parseBind)
  t.alike(volumes[1], { source: '/a/b', target: '/y', readOnly: true })
  t.is(guestVolume('/mnt/x', volumes[1]!), '/mnt/x:/y:ro')
  t.is(guestVolume('/mnt/x', volumes[0]!), '/mnt/x:/x')
  t.alike(sharesFor(volumes, SHARES.slice(0, 1)), ['/srv/site:/mnt/site:ro', '/a/b:/mnt/host/a/b'])
  t.is(sharesFor(volumes, SHARES), undefined, 'nothing is missing')
  t.is(sharesFor([], []), undefined)
  for (const bad of ['', '/a', ':/b', '/a:b', '/a:/b:xx', '/a:/b:ro:rw', '/a:']) {
    try {
      parseBind(bad)
      t.fail(bad)
    } catch (error) {
      t.ok(isContainerError(error, 'USAGE'), JSON.stringify(bad))
    }
  }
})
