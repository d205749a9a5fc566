import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { keyPairOf, readIdentity, writeIdentity } from '../../../src/p2p/peers/identity.ts'
import { KnownPeers } from '../../../src/p2p/peers/known-peers.ts'

function temporary(t: { teardown: (remove: () => void) => void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'dat-identity-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  return directory
}

const key = async (path: string): Promise<string> =>
  keyPairOf(await readIdentity(path)).publicKey.toString('hex')

test('a home is known by one key; a copy of it by another', async (t) => {
  const home = join(temporary(t), 'home')
  cpSync(temporary(t), home, { recursive: true })
  const file = join(home, 'identity.json')
  t.not(await key(file), await key(file), 'what is not written is another each time')
  await writeIdentity(file, { ...(await readIdentity(file)), tcpPort: 1234, udpPort: 65_535 })
  t.is(statSync(file).mode & 0o777, 0o600)
  const first = await key(file)
  t.is(await key(file), first)
  const { tcpPort, udpPort } = await readIdentity(file)
  t.alike([tcpPort, udpPort], [1234, 65_535])

  cpSync(home, `${home}-copy`, { recursive: true })
  const copied = join(`${home}-copy`, 'identity.json')
  t.not(await key(copied), first, 'two daemons never have one key')
  t.is((await readIdentity(copied)).tcpPort, undefined)
  renameSync(home, `${home}-moved`)
  t.is(await key(join(`${home}-moved`, 'identity.json')), first, 'one that was moved is the same')
})

test('a damaged identity is none', async (t) => {
  const file = join(temporary(t), 'identity.json')
  await writeIdentity(file, { ...(await readIdentity(file)), tcpPort: 1 })
  const first = await key(file)
  const whole = readFileSync(file, 'utf8')
  const damaged = [
    '',
    '{',
    'null',
    whole.slice(0, whole.length / 2),
    whole.replace(/"seed": "../, '"seed": "'),
    whole.replace('"format": 1', '"format": 2')
  ]
  for (const text of damaged) {
    writeFileSync(file, text)
    t.not(await key(file), first, JSON.stringify(text.slice(0, 30)))
  }
  writeFileSync(file, whole.replace('"tcpPort": 1', '"tcpPort": 65536'))
  t.alike([await key(file), (await readIdentity(file)).tcpPort], [first, undefined])
  writeFileSync(file, whole)
  t.is(await key(file), first, 'and a whole one is')
})

test('addresses of an image’s peers: the last eight, and nothing that is none', async (t) => {
  const directory = join(temporary(t), 'peers')
  const known = new KnownPeers(directory)
  const image = Buffer.alloc(32, 1)
  const peer = (n: number) => ({
    publicKey: Buffer.alloc(32, n).toString('hex'),
    host: '192.0.2.7',
    port: n
  })
  t.alike(await known.read(image), [])
  let kept = await known.note(image, [peer(1)], [])
  for (let n = 2; n <= 12; n++) kept = await known.note(image, [peer(n)], kept)
  t.alike(
    kept.map(({ port }) => port),
    [12, 11, 10, 9, 8, 7, 6, 5]
  )
  t.alike(await known.read(image), kept)
  t.alike(await known.read(Buffer.alloc(32, 2)), [], 'of that image alone')
  const moved = { ...peer(7), port: 99 }
  const after = await known.note(image, [moved], kept)
  t.alike(
    after.filter(({ publicKey }) => publicKey === moved.publicKey),
    [moved],
    'a peer is at one place'
  )
  t.is(await known.note(image, [moved], after), after, 'what is known is not written again')
  const [file = ''] = readdirSync(directory)
  for (const text of ['', '{}', '{"format":1,"peers":[{"host":"a b"}]}', 'x'.repeat(20_000)]) {
    writeFileSync(join(directory, file), text)
    t.alike(await known.read(image), [], JSON.stringify(text.slice(0, 40)))
  }
  await known.forget(image)
  t.alike(await known.read(image), [])
})
