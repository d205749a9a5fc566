import test from 'brittle'
import { isContainerError } from '../../src/core/errors.ts'
import {
  formatLink,
  ImageReference,
  looksLikeLink,
  parseFullLink,
  parseLink
} from '../../src/p2p/link.ts'

const key = Buffer.alloc(32, 7)
const secret = Buffer.alloc(32, 200)

test('a link survives being written and read, in every accepted form', (t) => {
  const link = formatLink({ key, secret, version: 3 })
  const bare = link.replace('dat://', '')
  const hex = `${key.toString('hex')}@3#${secret.toString('hex')}`
  for (const form of [link, bare, hex, ` ${link}\n`, `${link}?peer=10.0.0.1:1`]) {
    const parsed = parseLink(form)
    t.alike(parsed.key, key, 'key')
    t.alike(parsed.secret, secret, 'secret')
    t.is(parsed.version, 3, 'version')
  }
})

test('a link names peers, behind its secret or without one', (t) => {
  const peers = [
    { host: '192.0.2.7', port: 7777 },
    { host: '2001:db8::1', port: 1 }
  ]
  for (const link of [
    { key, secret, version: 2, peers },
    { key, secret: undefined, version: undefined, peers }
  ]) {
    t.alike(parseLink(formatLink(link)), link)
  }
  const text = formatLink({ key, secret, version: undefined })
  t.alike(parseLink(`${text}?later=1&peer=a%3A80&x`).peers, [{ host: 'a', port: 80 }])
  for (const bad of [
    'peer=',
    'peer=a',
    'peer=a:0',
    'peer=%',
    Array(9).fill('peer=a:1').join('&')
  ]) {
    t.is(
      code(() => parseLink(`${text}?${bad}`)),
      'BAD_LINK',
      bad
    )
  }
})

test('a mirror link has no secret and does not read', (t) => {
  const link = formatLink({ key, secret: undefined, version: undefined })
  t.is(parseLink(link).secret, undefined)
  t.is(
    code(() => parseFullLink(link)),
    'BAD_LINK'
  )
})

test('a link that is truncated or altered anywhere is refused', (t) => {
  const link = formatLink({ key, secret, version: undefined })
  const missed: number[] = []
  for (let length = 0; length < link.length; length++) {
    if (length === link.indexOf('#')) continue
    if (code(() => parseLink(link.slice(0, length))) !== 'BAD_LINK') missed.push(length)
  }
  t.alike(missed, [], 'every truncation is noticed, but the one that is a mirror link')
  for (const bad of [
    '',
    'dat://',
    '#',
    `${link}#x`,
    link.replace('#', '@1@1#'),
    `${link}x`,
    'dat://é'
  ]) {
    t.is(
      code(() => parseFullLink(bad)),
      'BAD_LINK',
      JSON.stringify(bad).slice(0, 20)
    )
  }
  for (const version of ['0', '-1', '1.5', 'x', '99999999999', '']) {
    t.is(
      code(() => parseLink(link.replace('#', `@${version}#`))),
      'BAD_LINK',
      `@${version}`
    )
  }
})

test('names are told from links', (t) => {
  t.ok(looksLikeLink(formatLink({ key, secret: undefined, version: undefined })))
  t.ok(looksLikeLink(formatLink({ key, secret, version: 2 }).slice(6)))
  t.absent(looksLikeLink('debian'))
  t.absent(looksLikeLink('debian@2'))
})

test('a reference to an image is a link or a name, and its text says the same', (t) => {
  const peers = [{ host: '192.0.2.7', port: 7777 }]
  for (const link of [
    { key, secret, version: 2, peers },
    { key, secret: undefined, version: undefined }
  ]) {
    const text = formatLink(link)
    const image = ImageReference.parse(text)
    t.alike(image.link, link)
    t.is(image.version, link.version)
    t.is(image.name, '')
    t.is(image.toString(), text)
    t.is(JSON.stringify({ image }), JSON.stringify({ image: text }), 'as on a socket')
    t.alike(ImageReference.to(link), image)
  }
  const names: [string, string, number | undefined][] = [
    ['debian', 'debian', undefined],
    ['debian@2', 'debian', 2],
    ['a@b@3', 'a@b', 3],
    ['debian@x', 'debian@x', undefined],
    ['ybndrfg8', 'ybndrfg8', undefined],
    ['', '', undefined]
  ]
  for (const [text, name, version] of names) {
    const image = ImageReference.parse(text)
    t.is(image.link, undefined, text)
    t.is(image.name, name, text)
    t.is(image.version, version, text)
    t.is(image.toString(), text)
  }
  t.is(
    code(() => ImageReference.parse('debian@0').version),
    'BAD_LINK'
  )
  t.is(
    code(() => ImageReference.parse('dat://debian')),
    'BAD_LINK'
  )
  const mirror = ImageReference.to({ key, secret: undefined, version: undefined })
  t.is(
    code(() => mirror.fullLink),
    'BAD_LINK',
    'a mirror link reads nothing'
  )
})

function code(work: () => unknown): string {
  try {
    work()
    return 'no error'
  } catch (error) {
    return isContainerError(error) ? error.code : String(error)
  }
}
