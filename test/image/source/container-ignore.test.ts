import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'brittle'
import type { ContainerError } from '../../../src/core/errors.ts'
import { scanDirectory } from '../../../src/image/source/directory-source.ts'
import { writeVersion } from '../../../src/image/publish/write-version.ts'
import { walk } from '../../../src/image/chunk/read-file.ts'
import { MemoryStore } from '../memory-store.ts'
import { temporaryDirectory } from '../planted-tree.ts'

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
  const scanned = await scanDirectory(source.path, { exclude: ['/extra'] })
  const { tree } = await writeVersion(scanned, new MemoryStore(), { name: 'test' })
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

const TREE = [
  ...['app.log', 'var/app.log', 'var/log/a.log', 'var/log/deep/b.log.1', 'var/cache/x', 'tmp/t'],
  ...['home/me/.cache/c', 'home/me/tmp', 'src/#note', 'src/a.c', 'src/a.o', 'src/[x]', 'a b/c.log']
]

/** Rules, and what of {@link TREE} they leave. */
const RULES: readonly (readonly [rules: readonly string[], left: (path: string) => boolean])[] = [
  [['*.log'], (path) => !path.endsWith('.log')],
  [['*.log', '!/app.log'], (path) => path === 'app.log' || !path.endsWith('.log')],
  [['/tmp'], (path) => path !== 'tmp/t'],
  [['tmp'], (path) => !/(^|\/)tmp(\/|$)/.test(path)],
  [['tmp/'], (path) => path !== 'tmp/t'],
  [['var/log'], (path) => !path.startsWith('var/log/')],
  [['./var/log'], (path) => !path.startsWith('var/log/')],
  [['/var/*', '!/var/cache'], (path) => !path.startsWith('var/') || path === 'var/cache/x'],
  [['**/deep/**'], (path) => !path.includes('/deep/')],
  [['src/*.[co]'], (path) => !/^src\/a\.[co]$/.test(path)],
  [['a?b/'], (path) => !path.startsWith('a b/')],
  [['\\#note', '\\[x\\]'], (path) => !['src/#note', 'src/[x]'].includes(path)]
]

void test('--exclude takes the patterns of .containerignore, and leaves out the same', async (t) => {
  for (const [rules, left] of RULES) {
    const expected = TREE.filter(left).toSorted()
    t.ok(expected.length < TREE.length, `${rules.join(' ')} leaves something out`)
    t.alike(await filesLeft({ file: rules }), expected, `${rules.join(' ')} in the file`)
    t.alike(await filesLeft({ exclude: rules }), expected, `${rules.join(' ')} as an option`)
  }
})

void test('patterns of --exclude come behind those of the file', async (t) => {
  const all = TREE.toSorted()
  t.alike(await filesLeft({ file: ['*.log', 'tmp'], exclude: ['!*.log', '!tmp'] }), all)
})

void test('a pattern that leaves nothing out is refused as an option', async (t) => {
  for (const pattern of ['', '  ', '#note']) {
    await t.exception(filesLeft({ exclude: [pattern] }), /leaves nothing out/)
    const error = await filesLeft({ exclude: [pattern] }).catch((thrown: unknown) => thrown)
    t.is((error as ContainerError).code, 'USAGE')
  }
})

void test('a pattern that nothing matches is told of', async (t) => {
  const idle: string[] = []
  const exclude = ['*.log', '/nothing', 'etc/../var', '!keep', 'var/log/', '*.c', 'deep', './src']
  await filesLeft({ file: ['src'], exclude }, (pattern) => idle.push(pattern))
  t.alike(idle, ['/nothing', 'etc/../var', '*.c', 'deep'], 'nor what others left out already')
  await filesLeft({ file: ['/nothing'] }, () =>
    t.fail('patterns of the file may be for other times')
  )
})

/** The files of {@link TREE} that an image of it has, sorted. */
async function filesLeft(
  rules: { file?: readonly string[]; exclude?: readonly string[] },
  onIdlePattern?: (pattern: string) => void
) {
  const source = temporaryDirectory()
  try {
    for (const path of TREE) {
      mkdirSync(join(source.path, dirname(path)), { recursive: true })
      writeFileSync(join(source.path, path), path)
    }
    if (rules.file) writeFileSync(join(source.path, '.containerignore'), rules.file.join('\n'))
    const { exclude } = rules
    const scanned = await scanDirectory(source.path, {
      ...(exclude ? { exclude } : {}),
      ...(onIdlePattern ? { onIdlePattern } : {})
    })
    const { tree } = await writeVersion(scanned, new MemoryStore(), { name: 'test' })
    return [...walk(tree)]
      .filter(({ inode }) => tree.type(inode) === 'file')
      .map(({ path }) => path.toString())
      .toSorted()
  } finally {
    source.remove()
  }
}
