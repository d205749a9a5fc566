import test from 'brittle'
import { ago, containerFilter, filledIn } from '../../src/cli/parse/list-format.ts'

const WEB = { name: 'web', image: 'debian', version: 2, state: 'running', command: ['sh', '-c'] }
/** Less is known about a container in a machine. */
const FAR = { name: 'far', image: null, state: 'stopped' }
const FIELDS = new Set(Object.keys({ ...WEB, ...FAR }))

void test('a template is filled with fields, and empty where a container lacks one', (t) => {
  t.is(filledIn('{{name}}\\t{{image}}@{{version}}', WEB, FIELDS), 'web  debian@2')
  t.is(filledIn('{{ .Name }} {{command}}', WEB, FIELDS), 'web sh -c')
  t.is(filledIn('{{name}} [{{version}}{{image}}]', FAR, FIELDS), 'far []')
  t.is(filledIn('{} {{}} {{name}}', FAR, FIELDS), '{} {{}} far')
  for (const template of ['json', '', '{{}}', 'table {name}']) {
    t.exception(() => filledIn(template, WEB, FIELDS), /a template without a field/, template)
  }
  t.exception(() => filledIn('{{nam}}', WEB, FIELDS), /no field "nam"/)
  t.exception(() => filledIn('{{constructor}}', WEB, FIELDS), /no field "constructor"/)
})

void test('filters of one field are alternatives, of several all have to fit', (t) => {
  const names = (...filters: string[]): string[] =>
    [WEB, FAR].filter(containerFilter(filters)).map(({ name }) => name)
  t.alike(names(), ['web', 'far'])
  t.alike(names('name=web', 'name=fa'), ['web', 'far'])
  t.alike(names('name=web', 'state=stopped'), [])
  t.alike(names('status=stopped'), ['far'])
  t.alike(names('command=-c'), ['web'])
  for (const filter of ['name', '=x', 'size=1', '__proto__=x']) {
    t.exception(() => containerFilter([filter]), /not a filter/, filter)
  }
})

void test('how long ago something was is told in its largest unit', (t) => {
  const now = Date.parse('2026-01-31T12:00:00Z')
  const told = (time: string | null): string => ago(time, now)
  t.is(told('2026-01-31T11:59:59.500Z'), '0 s ago')
  t.is(told('2026-01-31T11:58:01Z'), '1 min ago')
  t.is(told('2026-01-28T13:00:00Z'), '2 d ago')
  t.is(told('2026-01-31T12:00:05Z'), '0 s ago', 'clocks differ')
  t.is(told(null), '-')
})
