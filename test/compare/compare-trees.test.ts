import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { compareTrees } from './compare-trees.ts'
import { CHANGES, plantComparable, resetTimes } from './planted-changes.ts'
import { plantDeep } from './planted-depth.ts'
import { FACT_CLASSES } from './tree-facts.ts'

function temporary(t: { teardown(work: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'dat-container-compare-'))
  t.teardown(() => execFileSync('rm', ['-rf', directory]))
  return directory
}

function planted(directory: string, name: string): string {
  const root = join(directory, name)
  mkdirSync(root)
  plantComparable(root)
  return root
}

void test('each kind of difference is seen, and no other', async (t) => {
  const directory = temporary(t)
  const original = planted(directory, 'original')
  t.alike(await compareTrees(original, planted(directory, 'again')), [], 'equal trees are equal')
  const classes = new Set<string>()
  for (const [number, { what, make, seen, times }] of CHANGES.entries()) {
    const root = planted(directory, `changed-${number}`)
    make((name) => join(root, name), root)
    if (times !== true) resetTimes(root)
    const lines = await compareTrees(original, root)
    const expected = lines.map((line, index) => {
      const wanted = seen[index]
      return wanted instanceof RegExp && wanted.test(line) ? line : wanted
    })
    t.alike(lines, expected, what)
    t.is(lines.length, seen.length, `${what}: nothing is missing`)
    for (const line of lines) classes.add(line.split(': ')[1]!)
  }
  const unseen = [...FACT_CLASSES].filter((name) => !classes.has(name))
  t.alike(unseen, [], 'every class was seen to differ')
})

void test('classes and paths are left out when asked, and only then', async (t) => {
  const directory = temporary(t)
  const a = planted(directory, 'a')
  const b = planted(directory, 'b')
  execFileSync('chmod', ['600', join(b, 'file')])
  execFileSync('touch', ['-d', '@5', join(b, 'file'), join(b, 'directory/inner/below')])
  const all = await compareTrees(a, b)
  t.is(all.length, 3)
  t.alike(
    await compareTrees(a, b, { without: ['mode'] }),
    all.filter((line) => !/mode/.test(line))
  )
  t.alike(await compareTrees(a, b, { skip: ['directory', 'file'] }), [])
})

void test('paths longer than the kernel takes are compared', async (t) => {
  const directory = temporary(t)
  const roots = ['a', 'b'].map((name) => join(directory, name))
  for (const [number, root] of roots.entries()) {
    mkdirSync(root)
    plantDeep(root, Array<number>(30).fill(250), `${number}`)
    execFileSync('find', [root, '-execdir', 'touch', '-h', '-d', '@7', '{}', '+'])
  }
  const lines = await compareTrees(roots[0]!, roots[1]!)
  t.is(lines.length, 1)
  t.ok(/\/deepest: content: /.test(lines[0]!) && lines[0]!.length > 30 * 250)
})
