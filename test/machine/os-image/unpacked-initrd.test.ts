import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { unpackInitrd } from '../../../src/machine/os-image/unpacked-initrd.ts'

void test('an initrd is unpacked where that goes, or left alone', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-initrd-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const content = Buffer.from('an archive '.repeat(10_000))
  const packed = execFileSync('xz', ['--stdout'], { input: content })
  const target = join(directory, 'unpacked')
  const unpack = async (bytes: Buffer): Promise<boolean> => {
    writeFileSync(join(directory, 'initrd'), bytes)
    return unpackInitrd(join(directory, 'initrd'), target)
  }
  t.ok(await unpack(packed))
  t.alike(readFileSync(target), content)
  t.ok(await unpack(packed), 'once more, over one that was left')
  const table: [string, Buffer][] = [
    ['of another format', content],
    ['empty', Buffer.alloc(0)],
    ['cut short', packed.subarray(0, packed.length - 20)]
  ]
  for (const [title, bytes] of table) {
    t.absent(await unpack(bytes), title)
    t.absent(existsSync(target), 'and there is no file')
  }
  const { PATH } = process.env
  process.env['PATH'] = directory
  t.absent(await unpack(packed).finally(() => (process.env['PATH'] = PATH)), 'there is no xz')
})
