import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { formatManifest } from '../../os-image/manifest.ts'
import { parseLock } from '../../os-image/package-lock.ts'
import { LONG } from '../e2e/sandbox.ts'

const NO_DIGEST = '0'.repeat(64)
/** The smallest package of a release that depends on nothing, and one that stays as it is. */
const GONE = 'netbase'
const KEPT = 'media-types'

// A build may hold the cache of this user.
const cache = mkdtempSync(join(tmpdir(), 'dat-cache-'))
process.env['XDG_CACHE_HOME'] = cache
const { buildablePackages, describeReplaced, fetchPackages, refreshedLock } =
  await import('../../os-image/packages.ts')

/** What the manifest says of the lock. */
interface Noted {
  readonly matchesLock: boolean
  readonly packages: readonly { readonly locked?: string }[]
}

test(
  'a build takes the newest package where the archive no longer has the locked one',
  LONG,
  async (t) => {
    t.teardown(() => rm(cache, { recursive: true, force: true }))
    const newest = parseLock(await refreshedLock([GONE, KEPT], 'amd64'))
    const [there, kept] = [GONE, KEPT].map((name) => newest.find((each) => each.name === name))
    if (there === undefined || kept === undefined) throw new Error('the lock lacks packages')

    const asLocked = await buildablePackages([there, kept])
    t.alike(asLocked, [there, kept], 'a lock that the archive has is kept to')
    t.is(describeReplaced(asLocked), undefined)

    const [gone] = parseLock(`amd64 ${GONE} 0.1-of-long-ago ${NO_DIGEST}\n`)
    if (gone === undefined) throw new Error('not a line of a lock')
    const built = await buildablePackages([gone, kept])
    t.alike(built, [{ ...there, locked: gone.version }, kept])
    const line = describeReplaced(built) ?? ''
    t.ok(line.includes(`${GONE} ${there.version} (locked: ${gone.version})`), line)
    t.absent(line.includes(KEPT) || line.includes('\n'), 'one line, of that package alone')

    const [file = ''] = await fetchPackages(built.slice(0, 1))
    const fields = ['-f', file, 'Package', 'Version']
    const said = execFileSync('dpkg-deb', fields, { encoding: 'utf8' })
    t.alike(said.trim().split('\n'), [`Package: ${GONE}`, `Version: ${there.version}`])

    const facts = { version: '1', epoch: 0, released: 0, files: [], nodePackages: [] }
    const manifest = (packages: typeof built): Noted =>
      JSON.parse(formatManifest({ arch: 'amd64', ...facts, packages })) as Noted
    t.is(manifest(built).matchesLock, false)
    t.alike(
      manifest(built).packages.map(({ locked }) => locked),
      [gone.version, undefined],
      'the manifest says which'
    )
    t.is(manifest(asLocked).matchesLock, true)

    const [other] = parseLock(`amd64 ${GONE} ${there.version} ${NO_DIGEST}\n`)
    if (other === undefined) throw new Error('not a line of a lock')
    await t.exception(
      async () => fetchPackages(await buildablePackages([other])),
      /has digest .*, not 0{64}/,
      'the locked version with other bytes is refused'
    )
  }
)
