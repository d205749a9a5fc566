import test from 'brittle'
import { parseBind } from '../../../src/boot/state/bind-option.ts'
import { parseDevice } from '../../../src/boot/state/device-grant.ts'
import { divideTime, union, type Interval } from '../../../src/boot/state/intervals.ts'
import { isContainerError } from '../../../src/core/errors.ts'
import { formatForward, parseForward } from '../../../src/machine/state/port-forward.ts'

function refused(read: () => unknown): boolean {
  try {
    read()
    return false
  } catch (error) {
    return isContainerError(error, 'USAGE')
  }
}

void test('volumes', (t) => {
  for (const [text, source, target, readOnly] of [
    ['/a:/b', '/a', '/b', false],
    ['/a:/b:rw', '/a', '/b', false],
    ['/a:/b:ro', '/a', '/b', true],
    ['/a/../c:/b', '/c', '/b', false],
    ['a:/b', `${process.cwd()}/a`, '/b', false],
    ['.:/b', process.cwd(), '/b', false]
  ] as const) {
    t.alike(parseBind(text), { source, target, readOnly }, text)
  }
  for (const text of [
    '',
    ':',
    '/a',
    '/a:',
    ':/b',
    '/a:b',
    '/a:/b:',
    '/a:/b:RO',
    '/a:/b:ro:x',
    '/a:ro'
  ]) {
    t.ok(
      refused(() => parseBind(text)),
      JSON.stringify(text)
    )
  }
})

void test('devices', (t) => {
  for (const [text, source, target, access] of [
    ['/dev/null', '/dev/null', '/dev/null', 'rwm'],
    ['/dev/null:r', '/dev/null', '/dev/null', 'r'],
    ['/dev/null:/dev/zero', '/dev/null', '/dev/zero', 'rwm'],
    ['/dev/null:/dev/zero:rw', '/dev/null', '/dev/zero', 'rw'],
    ['/dev/null:/dev/../dev/x', '/dev/null', '/dev/x', 'rwm']
  ] as const) {
    t.alike(parseDevice(text), { source, target, access }, text)
  }
  for (const text of [
    '',
    'null',
    '/dev/null:x',
    '/dev/null:/dev/a:/dev/b',
    '/dev/null:',
    ':/dev/a',
    '/dev/null:r:w'
  ]) {
    t.ok(
      refused(() => parseDevice(text)),
      JSON.stringify(text)
    )
  }
})

void test('forwarded ports', (t) => {
  for (const [text, full] of [
    ['8080:80', '127.0.0.1:8080:80'],
    ['0.0.0.0:53:53/udp', '0.0.0.0:53:53/udp'],
    ['1:65535/tcp', '127.0.0.1:1:65535']
  ] as const) {
    t.is(formatForward(parseForward(text)), full, text)
    t.alike(parseForward(full), parseForward(text), 'and back')
  }
  for (const text of [
    '',
    '80',
    '0:80',
    '80:0',
    '80:65536',
    '1.2.3:80:80',
    '[::1]:80:80',
    'host:80:80',
    '80:80/sctp',
    '-1:80',
    '80:80:80'
  ]) {
    t.ok(
      refused(() => parseForward(text)),
      JSON.stringify(text)
    )
  }
})

void test('time that several things cover goes to the first of them, and none twice', (t) => {
  const of = (...intervals: Interval[]): Interval[] => intervals
  for (const [given, merged] of [
    [of(), of()],
    [of([5, 5], [7, 6]), of()],
    [of([3, 4], [1, 2]), of([1, 2], [3, 4])],
    [of([1, 3], [2, 5], [5, 6]), of([1, 6])],
    [of([1, 9], [2, 3]), of([1, 9])]
  ] as const) {
    t.alike(union(given), merged, JSON.stringify(given))
  }
  const layers = [
    { what: 'a', intervals: of([-5, 2], [4, 5]) },
    { what: 'b', intervals: of([1, 3], [4, 5]) },
    { what: 'c', intervals: of([0, 20]) }
  ] as const
  const parts = divideTime([0, 10], layers)
  t.alike(parts, [
    { what: 'a', ms: 3 },
    { what: 'b', ms: 1 },
    { what: 'c', ms: 6 }
  ])
  t.alike(
    divideTime([3, 3], layers).map(({ ms }) => ms),
    [0, 0, 0],
    'of no time'
  )
})
