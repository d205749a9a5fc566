import test from 'brittle'
import { InvalidArgumentError } from 'commander'
import { collect, durationMs, nonce, oneOf } from '../../src/cli/parse/arguments.ts'

function refuses(
  t: { ok(value: unknown, message: string): void },
  read: () => unknown,
  what: string
): void {
  try {
    t.ok(false, `${what} is ${JSON.stringify(read())}`)
  } catch (error) {
    t.ok(error instanceof InvalidArgumentError, `${what}: ${String(error)}`)
  }
}

void test('durations', (t) => {
  for (const [text, ms] of [
    ['0', 0],
    ['30', 30_000],
    ['1.5s', 1_500],
    ['500ms', 500],
    ['0.4ms', 0],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['007', 7_000]
  ] as const) {
    t.is(durationMs(text), ms, text)
  }
  for (const text of [
    '',
    ' 1',
    '1 s',
    '-1',
    '+1',
    '.5',
    '1.',
    '1d',
    '1e3',
    '0x10',
    's',
    '1sm',
    '١'
  ]) {
    refuses(t, () => durationMs(text), JSON.stringify(text))
  }
})

void test('one of a few words', (t) => {
  const read = oneOf('wait', 'fail')
  t.is(read('fail'), 'fail')
  t.alike(read.words, ['wait', 'fail'])
  for (const text of ['', 'Wait', 'wai', 'wait ', 'constructor']) refuses(t, () => read(text), text)
})

void test('an option that may be given several times keeps the order', (t) => {
  const before = collect('a', undefined)
  t.alike(collect('b', before), ['a', 'b'])
  t.alike(before, ['a'], 'and changes nothing')
})

void test('nonces', (t) => {
  for (const digits of [16, 18, 128]) t.is(nonce('a0'.repeat(digits / 2)).length, digits)
  for (const text of [
    '',
    'a'.repeat(14),
    'a'.repeat(17),
    'a'.repeat(130),
    'A'.repeat(16),
    'g'.repeat(16)
  ]) {
    refuses(t, () => nonce(text), text)
  }
})
