import test from 'brittle'
import {
  explainStart,
  placeStart,
  type StartExplanation
} from '../../../src/boot/lease/explain-start.ts'
import { startNote } from '../../../src/boot/lease/start-note.ts'
import { START_PARTS } from '../../../src/rpc/start-parts.ts'
import { divideTime, lengthOf, union } from '../../../src/boot/state/intervals.ts'
import type { MountTrace } from '../../../src/boot/lease/mount-trace.ts'

void test('each instant goes to the first layer that covers it', (t) => {
  t.alike(
    union([
      [5, 7],
      [1, 3],
      [2, 4],
      [9, 9],
      [7, 8]
    ]),
    [
      [1, 4],
      [5, 8]
    ]
  )
  const divided = divideTime(
    [10, 100],
    [
      { what: 'first', intervals: [[0, 20], [30, 40], [35, 45]] }, // prettier-ignore
      { what: 'second', intervals: [[15, 50]] },
      { what: 'third', intervals: [[40, 45], [90, 200]] }, // prettier-ignore
      { what: 'none', intervals: [[300, 400], [60, 50]] } // prettier-ignore
    ]
  )
  t.alike(
    divided.map(({ what, ms }) => [what, ms]),
    [
      ['first', 25],
      ['second', 15],
      ['third', 10],
      ['none', 0]
    ]
  )
  t.alike(divideTime([5, 5], [{ what: 'all', intervals: [[0, 10]] }]), [{ what: 'all', ms: 0 }])
})

const TRACE: MountTrace = {
  processMs: 1_080,
  opening: {
    beganMs: 1_200,
    daemonMs: 1_210,
    askedMs: 1_212,
    foundMs: 1_250,
    connectedMs: 1_300,
    answeredMs: 1_400,
    readyMs: 1_500,
    daemonCpuMs: 7
  },
  mountingMs: 1_510,
  mountedMs: 1_600,
  cpu: { daemonMs: 50, mounterMs: 60 },
  demand: [
    [1_690, 1_720],
    [1_800, 1_900]
  ],
  ahead: [[1_850, 1_950]],
  worst: [{ path: '/usr/bin/init', reads: 2, ms: 80 }]
}
const MARKS = { commandMs: 1_000, mountedMs: 1_620, startedMs: 1_700, readyMs: 2_000 }

function sum({ parts, notAttributedMs }: StartExplanation): number {
  return Object.values(parts).reduce((total, ms) => total + ms, notAttributedMs)
}

void test('the parts of a start add up to it', (t) => {
  const explained = explainStart(MARKS, TRACE)
  t.alike(explained?.parts, {
    programs: 212,
    discovery: 38,
    connect: 50,
    metadata: 200,
    mount: 100,
    setUp: 90,
    demand: 130,
    prefetch: 50,
    container: 130
  })
  t.is(explained?.totalMs, 1_000)
  t.is(explained?.notAttributedMs, 0)
  t.is(explained && sum(explained), 1_000)

  t.absent(explainStart({ commandMs: 1_000, mountedMs: 1_620 }, TRACE), 'not ready yet')
})

void test('what happened before the command is no part of its start', (t) => {
  // The image was mounted for another container.
  const later = explainStart(
    { commandMs: 5_000, mountedMs: 5_100, startedMs: 5_200, readyMs: 5_500 },
    { ...TRACE, demand: [[5_300, 5_310]], ahead: [] }
  )
  t.alike(later?.parts, {
    programs: 100,
    discovery: 0,
    connect: 0,
    metadata: 0,
    mount: 0,
    setUp: 100,
    demand: 10,
    prefetch: 0,
    container: 290
  })
  t.is(later?.cpu, null)

  // All of it was here: nobody was looked for.
  const opening = { ...TRACE.opening!, foundMs: null, connectedMs: null }
  const local = explainStart(MARKS, { ...TRACE, opening })
  t.is(local?.parts.discovery, 0)
  t.is(local?.parts.connect, 0)
  t.is(local?.parts.metadata, 288)
  // A peer that was known before the image was asked for.
  const known = explainStart(MARKS, {
    ...TRACE,
    opening: { ...TRACE.opening!, foundMs: 10, connectedMs: 20 }
  })
  t.is(known?.parts.metadata, 288)
  t.is(known && sum(known), 1_000)
})

void test('the times of a start are placed from when the command began, and add up to its parts', (t) => {
  const placed = placeStart(MARKS, TRACE)
  t.is(placed?.totalMs, 1_000)
  t.alike(placed?.times.demand, [
    [690, 720],
    [800, 900]
  ])
  t.alike(placed?.times.prefetch, [[900, 950]], 'what waits for both waits for the first')
  t.alike(placed?.times.container, [
    [720, 800],
    [950, 1_000]
  ])
  const { parts } = explainStart(MARKS, TRACE)!
  for (const part of START_PARTS) t.is(lengthOf(placed?.times[part] ?? []), parts[part], part)

  const note = startNote({ container: 'web', mode: 'boot', marks: MARKS }, () => ({
    ...TRACE,
    demand: Array.from({ length: 500 }, (_, n): [number, number] => [
      1_710 + n / 2,
      1_710.2 + n / 2
    ])
  }))
  const demand = note?.parts.find(({ part }) => part === 'demand')
  t.alike(demand?.times.length, 1, 'gaps that nobody would see are closed')
  t.ok(Math.abs((demand?.ms ?? 0) - 100) < 1, `and do not count: ${demand?.ms} ms`)
  t.absent(startNote({ container: 'web', mode: 'boot', marks: { commandMs: 1 } }, () => TRACE))
})
