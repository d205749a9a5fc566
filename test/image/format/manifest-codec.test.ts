import test from 'brittle'
import { ContainerError } from '../../../src/core/errors.ts'
import { decodeManifest, encodeManifest } from '../../../src/image/format/manifest-codec.ts'
import { fullManifest } from '../manifests.ts'
import { random } from '../trees.ts'

function decodingCode(bytes: Uint8Array | string): string {
  try {
    decodeManifest(typeof bytes === 'string' ? Buffer.from(bytes) : bytes)
    return 'fine'
  } catch (error) {
    return error instanceof ContainerError ? error.code : String(error)
  }
}

/** The full manifest with the field at `path` (`a.b.0`) replaced; `undefined` removes it. */
function changed(path: string, value: unknown): string {
  const manifest = structuredClone(fullManifest()) as unknown as Record<string, unknown>
  const names = path.split('.')
  const last = names.pop()!
  let target = manifest
  for (const name of names) target = target[name] as Record<string, unknown>
  target[last] = value
  return JSON.stringify(manifest)
}

void test('a manifest survives encoding', (t) => {
  t.alike(decodeManifest(encodeManifest(fullManifest())), fullManifest())
  const { description: _, profile: __, ...rest } = fullManifest()
  const small = { ...rest, start: { mode: 'boot' as const } }
  t.alike(decodeManifest(encodeManifest(small)), small)
})

void test('unknown fields are dropped', (t) => {
  t.alike(decodeManifest(Buffer.from(changed('colour', 'red'))), fullManifest())
})

void test('what is no manifest is no image', (t) => {
  for (const text of ['', 'null', '[]', '7', '{', '{}', '{"format":"oci"}', '\xff']) {
    t.is(decodingCode(Buffer.from(text, 'latin1')), 'NOT_AN_IMAGE', JSON.stringify(text))
  }
  t.is(decodingCode(Buffer.alloc(1024 * 1024 + 1, ' ')), 'NOT_AN_IMAGE', 'too large')
})

void test('a later format asks for an upgrade', (t) => {
  t.is(decodingCode(changed('formatVersion', 2)), 'UNSUPPORTED_VERSION')
  t.is(
    decodingCode('{"format":"dat-container","formatVersion":9,"all":"new"}'),
    'UNSUPPORTED_VERSION'
  )
  try {
    decodeManifest(Buffer.from(changed('formatVersion', 2)))
  } catch (error) {
    t.ok((error as ContainerError).hint?.includes('upgrade'))
  }
})

void test('wrong types, ranges and contradictions are refused', (t) => {
  const lies: [string, unknown][] = [
    ['formatVersion', '1'],
    ['formatVersion', 0],
    ['version', 1],
    ['version', 1.5],
    ['name', undefined],
    ['name', 7],
    ['name', 'a\u001b[31mred'],
    ['name', 'a\nb'],
    ['name', 'abc\u202etxt'],
    ['name', 'x'.repeat(257)],
    ['description', 'a\u0007'],
    ['os', 'plan9'],
    ['created', 'yesterday'],
    ['created', '2026-13-40T99:99:99Z'],
    ['source', 'directory'],
    ['start.mode', 'sleep'],
    ['start.argv', []],
    ['start.argv', ['a', 1]],
    ['start.argv', ['a\0b']],
    ['start.env', ['nothing']],
    ['start.cwd', 'relative'],
    ['start.user', 'a\nb'],
    ['files', -1],
    ['files', 6],
    ['entries', 2 ** 40],
    ['bytes', '12'],
    ['bytes', 2 ** 53],
    ['storedBytes', 17 * 65536],
    ['chunks', null],
    ['index', null],
    ['index.digest', 'md5:00'],
    ['index.blocks', 0],
    ['index.block', -1],
    ['index.block', 26],
    ['index.storedBytes', 2 * 65536 + 1],
    ['profile.block', 25],
    ['versions', []],
    ['versions.0.version', 2],
    ['versions.0.blocks', 27],
    ['versions.1.blocks', 'many']
  ]
  for (const [path, value] of lies) {
    t.is(decodingCode(changed(path, value)), 'BAD_MANIFEST', `${path} = ${JSON.stringify(value)}`)
  }
})

void test('whatever is done to a manifest, only a ContainerError comes out', (t) => {
  const bytes = encodeManifest(fullManifest())
  const pick = random(3)
  const codes = new Set<string>()
  for (let round = 0; round < 3000; round++) {
    const broken = Buffer.from(bytes)
    broken[Math.floor(pick() * broken.length)] = 32 + Math.floor(pick() * 96)
    codes.add(decodingCode(broken))
  }
  for (const code of codes) {
    t.ok(['fine', 'NOT_AN_IMAGE', 'BAD_MANIFEST', 'UNSUPPORTED_VERSION'].includes(code), code)
  }
})
