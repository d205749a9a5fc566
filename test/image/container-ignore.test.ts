import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { scanDirectory } from '../../src/image/directory-source.ts'
import { publishTree } from '../../src/image/publish.ts'
import { walk } from '../../src/image/read-file.ts'
import { MemoryStore } from './memory-store.ts'
import { temporaryDirectory } from './planted-tree.ts'

void test('.containerignore says what is left out, and is no part of the image', async (t) => {
  const source = temporaryDirectory()
  t.teardown(source.remove)
  for (const directory of ['var/cache', 'var/log', 'home/me', 'usr']) {
    mkdirSync(join(source.path, directory), { recursive: true })
  }
  const files = ['var/cache/a', 'var/log/one.log', 'var/log/keep.log', 'home/me/x', 'usr/LOG.LOG']
  for (const file of [...files, 'usr/#note', 'usr/.containerignore', 'extra']) {
    writeFileSync(join(source.path, file), file)
  }
  const rules = ['# a comment', '', '/var/cache/', '*.log', '!keep.log', '/home/*', '\\#note']
  writeFileSync(join(source.path, '.containerignore'), `${rules.join('\r\n')}\n`)
  const scanned = await scanDirectory(source.path, { exclude: ['extra'] })
  const { tree } = await publishTree(scanned, new MemoryStore(), { name: 'test' })
  t.alike(
    [...walk(tree)].map(({ path }) => path.toString()),
    ['', 'home', 'usr', 'usr/.containerignore', 'usr/LOG.LOG', 'var', 'var/log', 'var/log/keep.log']
  )
})

void test('a .containerignore too large to be one is refused', async (t) => {
  const source = temporaryDirectory()
  t.teardown(source.remove)
  writeFileSync(join(source.path, '.containerignore'), Buffer.alloc(2 * 1024 * 1024, '\n'))
  await t.exception(scanDirectory(source.path), /\.containerignore has 2097152 bytes/)
})
