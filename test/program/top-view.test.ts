import test from 'brittle'
import { eastAsianWidth } from 'get-east-asian-width'
import type { DaemonStatus, ImageListing } from '../../src/rpc/protocol.ts'
import type { Sample } from '../../src/cli/verbs/top/sample.ts'
import { compareSamples, topLines } from '../../src/cli/verbs/top/view.ts'

/** Only what `top` reads of each. */
type Images = Pick<
  ImageListing,
  | 'name'
  | 'key'
  | 'blocksHeld'
  | 'blocksKnown'
  | 'complete'
  | 'peers'
  | 'uploadedBytes'
  | 'downloadedBytes'
>
type Daemon = Pick<
  DaemonStatus,
  'pid' | 'bytesRead' | 'bytesWritten' | 'maxUp' | 'maxDown' | 'connections' | 'direct' | 'disk'
>

const KEY = 'y'.repeat(52)
const bytes = (amount: number): string => `${amount} B`
const ALL = { columns: undefined, rows: undefined }

function sample(atMs: number, moved: readonly [name: string, up: number, down: number][]): Sample {
  const daemon: Daemon = {
    pid: 7,
    bytesRead: atMs * 3,
    bytesWritten: atMs * 2,
    maxUp: 4_000,
    maxDown: null,
    connections: 5,
    direct: 2,
    disk: { usedBytes: 10, maxBytes: null }
  }
  const images = moved.map(([name, uploadedBytes, downloadedBytes]): Images => {
    const key = `${Buffer.from(name).toString('hex')}${KEY}`.slice(0, 52)
    const held = { blocksHeld: 1, blocksKnown: 3, complete: false, peers: 4 }
    return { name, key, ...held, uploadedBytes, downloadedBytes }
  })
  const containers = [
    { name: 'idle', state: 'running', figures: { pids: 1, rssBytes: 100, cpuMs: 5 } },
    { name: 'busy', state: 'running', figures: { pids: 2, rssBytes: 200, cpuMs: atMs / 2 } },
    { name: 'new', state: 'starting', figures: null }
  ]
  // The other fields are not read.
  return { atMs, daemon: daemon as DaemonStatus, images: images as ImageListing[], containers }
}

test('top tells rates between two samples, what moves most first', (t) => {
  const before = sample(1_000, [
    ['still', 5, 5],
    ['also', 1, 1],
    ['fast', 0, 0]
  ])
  const now = sample(3_000, [
    ['still', 5, 5],
    ['also', 1, 1],
    ['fast', 100, 4_000]
  ])
  const { daemon, images, containers } = compareSamples(before, now)
  t.alike(
    images.map(({ name, upRate, downRate }) => [name, upRate, downRate]),
    [
      ['fast', 50, 2_000],
      ['also', 0, 0],
      ['still', 0, 0]
    ]
  )
  t.alike([daemon?.upRate, daemon?.downRate], [2_000, 3_000])
  t.alike(
    containers.map(({ name, cpu }) => [name, cpu]),
    [
      ['busy', 0.5],
      ['idle', 0],
      ['new', null]
    ]
  )
  const restarted = compareSamples(now, { ...before, atMs: 4_000 })
  t.is(restarted.daemon?.upRate, 0, 'a daemon that began anew sends nothing negative')
  t.is(compareSamples(undefined, now).images[0]?.upRate, null, 'one sample has no rates')
  const alone = topLines(compareSamples(before, { ...now, daemon: null, images: [] }), ALL, bytes)
  t.is(alone[0], 'no daemon runs')
})

test('top fits a terminal of any size, and no name drives it', (t) => {
  const names = [
    'a\u202eb',
    'c\u009b31m',
    'd\n\u001b]0;x\u0007',
    '漢字'.repeat(30),
    'e'.repeat(300)
  ]
  const document = compareSamples(
    sample(0, []),
    sample(1_000, [
      ...names.map((name): [string, number, number] => [name, 1, 1]),
      ...Array.from({ length: 50 }, (_, n): [string, number, number] => [`image-${n}`, 0, 0])
    ])
  )
  for (const [columns, rows] of [
    [111, 33],
    [80, 24],
    [40, 12],
    [20, 8],
    [8, 5]
  ] as const) {
    const lines = topLines(document, { columns, rows }, bytes)
    const widest = Math.max(...lines.map(widthOf))
    t.ok(widest <= columns && lines.length <= rows, `${columns}×${rows}: ${widest}×${lines.length}`)
    t.absent(/[\p{Cc}\p{Bidi_Control}]/u.test(lines.join('')), 'no controls')
  }
  const lines = topLines(document, { columns: 111, rows: 33 }, bytes)
  t.ok(lines.some((line) => line.startsWith('busy')))
  t.ok(lines.some((line) => /^… and \d+ more$/.test(line)))
  t.is(topLines(document, ALL, bytes).length, 1 + 1 + 4 + 1 + 56, 'all, where there is no terminal')
})

function widthOf(text: string): number {
  return Array.from(text).reduce((sum, each) => sum + eastAsianWidth(each.codePointAt(0) ?? 0), 0)
}
