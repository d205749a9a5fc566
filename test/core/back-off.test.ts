import test from 'brittle'
import { BackOff } from '../../src/core/back-off.ts'

test('a rest doubles each time, up to the most', (t) => {
  let nowMs = 0
  const backOff = new BackOff({ firstMs: 10, mostMs: 35, now: () => nowMs })
  t.absent(backOff.has('a'))
  t.alike(backOff.of('a'), { times: 0, restMs: 0 })
  for (const [times, restMs] of [
    [1, 10],
    [2, 20],
    [3, 35],
    [4, 35]
  ] as const) {
    backOff.note('a')
    t.alike(backOff.of('a'), { times, restMs })
    nowMs += restMs - 1
    t.ok(backOff.isResting('a'))
    nowMs++
    t.absent(backOff.isResting('a'))
  }
  t.absent(backOff.isResting('b'), 'others are not concerned')
})

test('names without end are forgotten, the oldest first', (t) => {
  const backOff = new BackOff({ firstMs: 10, mostMs: 10 })
  const forgotten = Array.from({ length: 1_025 }, (_, n) => backOff.note(`${n}`))
  t.is(forgotten.at(-1), '0')
  t.is(forgotten.filter((name) => name !== undefined).length, 1)
  t.absent(backOff.has('0'))
  t.ok(backOff.has('1'))
})
