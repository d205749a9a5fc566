import test from 'brittle'
import { fittedTable, shortened, table } from '../../src/cli/print/table.ts'

const ROWS = [
  ['NAME', 'COMMAND', 'STATE'],
  ['web', 'python3 -m http.server --directory /srv/www', 'running'],
  ['a-name-of-some-length', 'sh', 'stopped (143)']
]
const WHOLE = [
  'NAME                   COMMAND                                      STATE',
  'web                    python3 -m http.server --directory /srv/www  running',
  'a-name-of-some-length  sh                                           stopped (143)'
]

void test('a table that fits, or has no terminal to fit, is whole', (t) => {
  t.alike(table(ROWS), WHOLE)
  t.alike(fittedTable(ROWS, undefined), WHOLE)
  t.alike(fittedTable(ROWS, 81), WHOLE)
})

void test('of a table that is too wide the widest columns are cut', (t) => {
  t.alike(fittedTable(ROWS, 50), [
    'NAME               COMMAND           STATE',
    'web                python3 -m http…  running',
    'a-name-of-some-l…  sh                stopped (143)'
  ])
  for (let columns = 28; columns <= 90; columns++) {
    const widest = Math.max(...fittedTable(ROWS, columns).map(({ length }) => length))
    t.is(widest, Math.min(columns, 81), 'as wide as it may be')
  }
  const narrow = fittedTable(ROWS, 5)
  t.alike(narrow, [
    'NAME      COMMAND   STATE',
    'web       python3…  running',
    'a-name-…  sh        stopped…'
  ])
})

void test('what a terminal draws wider, or not at all, is counted so', (t) => {
  const rows = [
    ['NAME', 'STATE'],
    ['日本語のイメージ', 'running'],
    ['e\u0301te\u0301', 'lost'],
    ['𠮷野家🚀', 'stopped']
  ]
  t.alike(table(rows), [
    'NAME              STATE',
    '日本語のイメージ  running',
    'e\u0301te\u0301               lost',
    '𠮷野家🚀          stopped'
  ])
  t.alike(fittedTable(rows, 18), [
    'NAME       STATE',
    '日本語の…  running',
    'e\u0301te\u0301        lost',
    '𠮷野家🚀   stopped'
  ])
  const widths: [text: string, columns: number][] = [
    ['ｱ', 1],
    ['Ａ', 2],
    ['한', 2],
    ['Ω', 1],
    ['—', 1],
    ['🦀', 2],
    ['⌚', 2],
    ['\u200d', 0],
    ['\u0007', 1]
  ]
  for (const [text, columns] of widths) {
    const [, line] = table([
      ['HEAD', '|'],
      [text, '|']
    ])
    t.is(line, `${text}${' '.repeat(4 - columns)}  |`, JSON.stringify(text))
  }
  t.is(shortened('𠮷野家🚀', 4), '𠮷…', 'no character is cut in two')
  t.is(shortened('e\u0301te\u0301s', 3), 'e\u0301t…')
})
