/**
 * Calibrates the emulated network: what was asked of it, and what programs get.
 *
 *   node build/bench/link.js ROOTFS [--rates 25,100] [--rtts 10,50,200] [--losses 0,1]
 *
 * Rates in Mbit/s, round trips in ms, losses in percent on the receiver's link, each way.
 */
import { parseArgs } from 'node:util'
import { report, type Row } from './report.ts'
import { rounded } from './statistics.ts'
import { ping } from './wan/ping.ts'
import { evenWire, Star } from './wan/star.ts'
import { traffic } from './wan/traffic.ts'

const SECONDS = 3
const PINGS = 100
/** UDP is sent a little slower than the link: its headers take the rest. */
const UDP_SHARE = 0.95

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    rates: { type: 'string', default: '25,100' },
    rtts: { type: 'string', default: '10,50,200' },
    losses: { type: 'string', default: '0,1' }
  }
})
const numbers = (text: string): number[] => text.split(',').map(Number)

const rows: Row[] = []
{
  await using star = await Star.open({ from: evenWire(1e8, 0), to: evenWire(1e8, 0) })
  const [from, to] = [star.host('from'), star.host('to')]
  for (const rate of numbers(values.rates)) {
    for (const rtt of numbers(values.rtts)) {
      for (const percent of numbers(values.losses)) {
        const bitsPerSecond = rate * 1e6
        await star.reshape([
          evenWire(bitsPerSecond, rtt),
          evenWire(bitsPerSecond, rtt, percent / 100)
        ])
        const pinged = await ping(from, to, PINGS)
        const bytes = (bitsPerSecond / 8) * SECONDS
        const udp = await costed(() =>
          traffic(from, to, { protocol: 'udp', bytes, bitsPerSecond: bitsPerSecond * UDP_SHARE })
        )
        const tcp = await costed(() =>
          // TCP that meets loss is slow however wide the link is.
          traffic(from, to, { protocol: 'tcp', bytes: percent > 0 ? bytes / 10 : bytes })
        )
        const row = {
          'Mbit/s': rate,
          'RTT ms': rtt,
          'loss %': percent,
          'ping ms': rounded(pinged.averageMs, 1),
          'ping lost %': rounded(100 * pinged.lost, 1),
          'UDP Mbit/s': rounded((udp.bytes * 8) / udp.elapsedMs / 1e3, 1),
          'UDP lost %': rounded(100 * Math.max(0, 1 - udp.bytes / bytes), 2),
          'UDP switch CPU %': rounded(udp.cpuPercent, 1),
          'TCP Mbit/s': rounded((tcp.bytes * 8) / tcp.elapsedMs / 1e3, 1),
          'TCP switch CPU %': rounded(tcp.cpuPercent, 1)
        }
        rows.push(row)
        console.log(JSON.stringify(row))
      }
    }
  }

  /** Runs traffic and adds the share of one processor that the switch used meanwhile. */
  async function costed<T extends { elapsedMs: number }>(run: () => Promise<T>) {
    const before = await star.counters()
    const ran = await run()
    const after = await star.counters()
    return { ...ran, cpuPercent: (100 * (after.cpuMs - before.cpuMs)) / ran.elapsedMs }
  }
}
report('link', { link: rows })
