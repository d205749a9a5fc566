import { randomBytes } from 'node:crypto'
import test from 'brittle'
import { discoveryKey } from 'hypercore-crypto'
import { nameOf, openPublicKey, sealPublicKey, SERVICE } from '../../../src/p2p/lan/lan-names.ts'

test('the name of a drive on a network tells nothing of its key', (t) => {
  const key = randomBytes(32)
  const name = nameOf(key)
  t.ok(/^_[0-9a-f]{32}\._sub\._dat-container\._tcp\.local$/.test(name), name)
  t.ok(name.endsWith(SERVICE))
  t.is(nameOf(Buffer.from(key)), name, 'all who know the key know it')
  t.not(nameOf(discoveryKey(key)), name, 'and nobody who knows the topic of the DHT alone')
  for (const secret of [key, discoveryKey(key)])
    t.absent(name.includes(secret.toString('hex').slice(0, 16)))
})

test('a public key is read by those who know the drive, and by nobody else', (t) => {
  const [key, publicKey] = [randomBytes(32), randomBytes(32)]
  const sealed = sealPublicKey(key, publicKey)
  t.alike(openPublicKey(key, sealed), publicKey)
  t.not(sealPublicKey(key, publicKey), sealed, 'each time it looks different')
  t.is(openPublicKey(randomBytes(32), sealed), undefined)
  for (const wrong of [
    '',
    'x',
    sealed.slice(2),
    `${sealed}AA`,
    randomBytes(60).toString('base64url')
  ]) {
    t.is(openPublicKey(key, wrong), undefined, wrong)
  }
  for (let at = 0; at < 60; at++) {
    const bytes = Buffer.from(sealed, 'base64url')
    bytes[at] = (bytes[at] ?? 0) ^ 1
    if (openPublicKey(key, bytes.toString('base64url')) !== undefined) t.fail(`byte ${at}`)
  }
})
