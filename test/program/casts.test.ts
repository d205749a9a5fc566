import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'

const SOURCES = fileURLToPath(new URL('../../../src', import.meta.url))
/** What ends all checks of types: what follows it may be anything. */
const CAST = /\bas\s+(?:never|any|unknown\s+as)\b/g
const COMMENT = /\/\*[\s\S]*?\*\/|\/\/[^\n]*/g

void test('no cast ends the checks of types without a comment that says why', (t) => {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
  const sources = files.filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
  t.ok(sources.length > 400, 'all of src is looked at')
  for (const name of sources) {
    const lines = unexplained(readFileSync(join(SOURCES, name), 'utf8'))
    t.alike(
      lines,
      [],
      `src/${name}: say why in a comment on the line or above it, or check the type`
    )
  }
})

void test('a cast without a reason is found, wherever it stands', (t) => {
  const table: [source: string, lines: number[]][] = [
    ['const a = b as never', [1]],
    ['const a = b as any', [1]],
    ['const a = b as unknown as Tree', [1]],
    ['const a = b as\n  unknown as Tree', [1]],
    ['\nrun(b as never)\nrun(c as any)', [2, 3]],
    ['const a = b as unknown', []],
    ['const a = b as Tree', []],
    ['// The library has no types.\nconst a = b as any', []],
    ['const a = b as any // the library has no types', []],
    ['/** As long as any process runs. */\nconst a = 1', []],
    ['/* why */\n\nconst a = b as never', [3]]
  ]
  for (const [source, lines] of table) t.alike(unexplained(source), lines, source)
})

/** Lines, from 1, of casts that no comment on their line or the one above explains. */
function unexplained(source: string): number[] {
  const lineOf = (index: number): number => source.slice(0, index).split('\n').length
  const comments = [...source.matchAll(COMMENT)]
  const explained = new Set(comments.map((found) => lineOf(found.index + found[0].length)))
  const code = source.replace(COMMENT, (comment) => comment.replace(/[^\n]/g, ' '))
  return [...code.matchAll(CAST)]
    .map(({ index }) => lineOf(index))
    .filter((line) => !explained.has(line) && !explained.has(line - 1))
}
