import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { claimIdRange, RANGE_IDS, type ClaimOptions } from '../../../src/boot/ids/id-ranges.ts'
import { overlaps, parseRanges, type TakenIds } from '../../../src/boot/ids/taken-ids.ts'

const LOWEST = 0x7000_0000
const HIGHEST = 0x7ffe_0000 - RANGE_IDS

interface Place {
  readonly registry: string
  readonly claim: (home: string, name: string, options?: ClaimOptions) => Promise<number>
}

function place(t: { teardown(undo: () => void): void }): Place {
  const directory = mkdtempSync(join(tmpdir(), 'dc-ids-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const registry = join(directory, 'registry/ranges.json')
  return {
    registry,
    async claim(home, name, options = {}) {
      const owner = { home: join(directory, home), name }
      mkdirSync(join(owner.home, 'containers', name), { recursive: true })
      return (await claimIdRange(owner, { registry, ...options })).base
    }
  }
}

void test('ranges are unique, between those of systemd and foreign images, and private', async (t) => {
  const { claim, registry } = place(t)
  const names = Array.from({ length: 12 }, (_, index) => `c${index}`)
  const homes = ['one', 'two']
  const bases = await Promise.all(homes.flatMap((home) => names.map((name) => claim(home, name))))
  t.is(new Set(bases).size, 24, 'asked for at once')
  t.ok(bases.every((base) => base > 1_879_048_191 && base <= HIGHEST && base % RANGE_IDS === 0))
  t.is(statSync(registry).mode & 0o777, 0o600)
})

void test('a range of a container that is gone is given again as late as can be', async (t) => {
  const { claim, registry } = place(t)
  const first = await claim('one', 'a')
  rmSync(join(registry, '../../one/containers/a'), { recursive: true })
  const second = await claim('one', 'b')
  t.not(second, first)
  t.is((readFileSync(registry, 'utf8').match(/"base"/g) ?? []).length, 1, 'the other is forgotten')
  // Who has been all the way round comes by again.
  const text = readFileSync(registry, 'utf8')
  writeFileSync(registry, text.replace(/"next": \d+/, `"next": ${HIGHEST}`))
  t.alike([await claim('one', 'c'), await claim('one', 'd')], [HIGHEST, LOWEST])
  writeFileSync(registry, text.replace(/"next": \d+/, `"next": ${second}`))
  t.not(await claim('one', 'e'), second, 'one in use is left out')
})

void test('what may own files elsewhere is never given again, nor what cannot be looked at', async (t) => {
  const { claim, registry } = place(t)
  const open = await claim('one', 'open', { outside: true })
  const away = await claim('disk', 'away')
  rmSync(join(registry, '../../one/containers/open'), { recursive: true })
  const text = readFileSync(registry, 'utf8')
  const entries = text.replace(/("base": (\d+)[^}]*"mountPoint": )"[^"]*"/g, '$1"/not/mounted"')
  writeFileSync(registry, entries.replace(/"next": \d+/, `"next": ${open}`))
  rmSync(join(registry, '../../disk'), { recursive: true })
  const given = [await claim('one', 'b'), await claim('one', 'open')]
  t.absent(given.includes(open), 'not even to one of its name')
  t.absent(given.includes(away), 'its home is on a disk that is not there')
})

void test('ids of users, and what is given away in subuid, are left out', async (t) => {
  const { claim, registry } = place(t)
  const first = await claim('one', 'a')
  const taken = async (): Promise<TakenIds> => ({
    ranges: [{ base: first + RANGE_IDS + 5, count: 1 }],
    hasAccount: async (id) => id === first + 2 * RANGE_IDS
  })
  t.is(await claim('one', 'b', { taken }), first + 3 * RANGE_IDS)
  t.alike(parseRanges('root:x:0:0::/:/bin/sh\n\n+::::\nmallory:x:1e3x:0', 'id'), [
    { base: 0, count: 1 }
  ])
  t.alike(parseRanges('docker:100000:65536\n# no\nx:5', 'range'), [
    { base: 100_000, count: 65_536 }
  ])
  t.ok(overlaps({ base: 10, count: 10 }, [{ base: 19, count: 1 }]))
  t.absent(
    overlaps({ base: 10, count: 10 }, [
      { base: 20, count: 1 },
      { base: 0, count: 10 }
    ])
  )
  t.ok(readFileSync(registry, 'utf8').endsWith('\n'))
})

void test('a damaged registry is not an empty one', async (t) => {
  const { claim, registry } = place(t)
  const base = await claim('one', 'a')
  t.is(await claim('one', 'a', { known: { base, count: RANGE_IDS } }), base, 'what is known stays')
  writeFileSync(registry, '{')
  await t.exception(claim('one', 'b'), /damaged/)
  rmSync(registry)
  const ofHome = async (): Promise<number[]> => [base]
  t.not(await claim('one', 'b', { ofHome }), base, 'a home’s own records count, too')
})

void test('a copy of a home has no ids, one that was moved or is seen at two paths keeps them', async (t) => {
  const { claim, registry } = place(t)
  const known = { base: await claim('one', 'a'), count: RANGE_IDS }
  await t.exception(claim('copy', 'a', { known }), /has the user ids of container a of .*one/)
  await t.exception(claim('copy', 'other', { known }), /user ids of container a/, 'nor by its name')
  t.is(await claim('one', 'a', { known }), known.base, 'the first keeps its own')
  const homes = join(registry, '../..')
  symlinkSync('one', join(homes, 'seen'))
  t.is(await claim('seen', 'a', { known }), known.base)
  rmSync(join(homes, 'seen'))
  renameSync(join(homes, 'one'), join(homes, 'moved'))
  t.is(await claim('moved', 'a', { known }), known.base)
})
