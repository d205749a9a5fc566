import { existsSync, readdirSync } from 'node:fs'
import test from 'brittle'
import { LinkQueue } from '../../bench/wan/link-queue.ts'
import { ping } from '../../bench/wan/ping.ts'
import { evenWire, Star } from '../../bench/wan/star.ts'
import { traffic } from '../../bench/wan/traffic.ts'
import { LONG } from '../e2e/sandbox.ts'

test('the emulated network delays, limits and loses as asked', LONG, async (t) => {
  {
    await using star = await Star.open({ from: evenWire(8e6, 40), to: evenWire(8e6, 40) })
    const [from, to] = [star.host('from'), star.host('to')]
    const { averageMs, lost } = await ping(from, to, 20)
    t.ok(averageMs >= 40 && averageMs < 80, `40 ms there and back, measured ${averageMs}`)
    t.is(lost, 0)

    const before = to.deviceBytes().received
    const slow = await traffic(from, to, { protocol: 'tcp', bytes: 1e6 })
    const carried = to.deviceBytes().received - before
    t.ok(carried > 1e6 && carried < 1.2e6, `the device counts what it carries: ${carried} bytes`)
    t.ok(rate(slow) < 8e6, `8 Mbit/s carry no more, measured ${rate(slow)}`)
    await star.reshape([evenWire(32e6, 40), evenWire(32e6, 40)])
    const fast = await traffic(from, to, { protocol: 'tcp', bytes: 4e6 })
    const times = rate(fast) / rate(slow)
    t.ok(times > 2 && times < 8, `four times the rate, measured ${times} times`)

    await star.reshape([evenWire(32e6, 0), evenWire(32e6, 0, 0.2)])
    const job = { protocol: 'udp', bytes: 2e6, bitsPerSecond: 8e6 } as const
    const left = (await traffic(from, to, job)).bytes / job.bytes
    t.ok(left > 0.7 && left < 0.9, `a fifth is lost, ${left} arrived`)
    t.ok(ownNamespaces().length === 2)
  }
  t.alike(ownNamespaces(), [], 'nothing is left')
})

test('a star that cannot be made leaves nothing', LONG, async (t) => {
  await t.exception(Star.open({ 'not/a/name': evenWire(1e6, 0) }))
  t.alike(ownNamespaces(), [])
  t.absent(readdirSync('/sys/class/net').some((name) => name.startsWith(`wan${process.pid}-`)))
})

test('a link keeps rate, delay and order, and drops what its queue cannot hold', (t) => {
  // A thousand bytes a millisecond.
  const link = new LinkQueue<string>(
    { bitsPerSecond: 8e6, delayMs: 5, loss: 0, queueBytes: 2_000 },
    1
  )
  t.ok(link.push('a', 1_000, 100))
  t.ok(link.push('b', 1_000, 100))
  t.absent(link.push('c', 1_000, 100), 'a third one does not fit')
  t.is(link.due, 106)
  t.is(link.shift(), 'a')
  t.is(link.due, 107)
  t.ok(link.push('d', 500, 101), 'a is through')
  t.is(link.shift(), 'b')
  t.is(link.due, 107.5)
  t.is(link.shift(), 'd')
  t.is(link.due, Infinity)
  t.alike(link.counters, { packets: 3, bytes: 2_500, dropped: 1, lost: 0 })
})

test('equal seeds lose equal packets', (t) => {
  const lost = (seed: number): string => {
    const shape = { bitsPerSecond: 8e6, delayMs: 0, loss: 0.5, queueBytes: 1e9 }
    const link = new LinkQueue<number>(shape, seed)
    return Array.from({ length: 64 }, (_, n) => (link.push(n, 1, 0) ? '1' : '0')).join('')
  }
  t.is(lost(7), lost(7))
  t.not(lost(7), lost(8))
})

function rate({ bytes, elapsedMs }: { bytes: number; elapsedMs: number }): number {
  return (bytes * 8_000) / elapsedMs
}

function ownNamespaces(): string[] {
  if (!existsSync('/run/netns')) return []
  return readdirSync('/run/netns').filter((name) => name.includes(`-${process.pid}-`))
}
