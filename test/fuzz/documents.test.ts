import test from 'brittle'
import * as fc from 'fast-check'
import { decodeManifest, encodeManifest } from '../../src/image/format/manifest-codec.ts'
import { formatLink, looksLikeLink, parseFullLink, parseLink } from '../../src/p2p/link.ts'
import { fullManifest } from '../image/manifests.ts'
import { fuzz } from './fuzz.ts'
import { changedJson, jsonChanges } from './json-changes.ts'
import { mutate, mutations } from './mutations.ts'

const MINUTES_5 = { timeout: 300_000 }
const MANIFEST = encodeManifest(fullManifest())

void test('a manifest of bytes that were changed', MINUTES_5, async (t) => {
  await fuzz(t, { cases: 40_000, accepted: 1_000 }, mutations, (list) =>
    decodeManifest(mutate(MANIFEST, list))
  )
})

void test('a manifest with values of other kinds', MINUTES_5, async (t) => {
  const text = Buffer.from(MANIFEST).toString()
  await fuzz(t, { cases: 40_000, accepted: 600 }, jsonChanges, (changes) => {
    const manifest = decodeManifest(Buffer.from(changedJson(text, changes)))
    requirePrintable(manifest)
    decodeManifest(encodeManifest(manifest))
  })
})

/** What a terminal would obey has no place in what is shown. */
function requirePrintable({ name, description, arch }: ReturnType<typeof decodeManifest>): void {
  for (const text of [name, description ?? '', arch]) {
    // eslint-disable-next-line no-control-regex
    if (/[\u0000-\u001f\u007f-\u009f]/.test(text)) throw new Error('a text has control characters')
  }
}

void test('a link that was changed', MINUTES_5, async (t) => {
  const key = Buffer.alloc(32, 7)
  const links = [
    formatLink({ key, secret: Buffer.alloc(32, 9), version: 3 }),
    formatLink({ key, secret: undefined, version: undefined }),
    `${key.toString('hex')}@1#${key.toString('hex')}`
  ]
  const values = fc.oneof(
    fc.tuple(fc.constantFrom(...links), mutations).map(([link, list]) => {
      return mutate(Buffer.from(link), list).toString()
    }),
    fc.string({ maxLength: 200, unit: 'binary' })
  )
  await fuzz(t, { cases: 60_000, accepted: 800 }, values, (text) => {
    looksLikeLink(text)
    const link = parseLink(text)
    if (parseLink(formatLink(link)).version !== link.version) throw new Error('another version')
    parseFullLink(text)
  })
})
