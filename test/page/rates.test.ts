import test from 'brittle'
import { agoText, bytesText, percentText } from '../../src/page/format.ts'
import { Rates } from '../../src/page/rates.ts'

void test('rates are means over some seconds, and begin anew with a daemon', (t) => {
  const rates = new Rates()
  t.is(rates.current.received, 0)
  for (let second = 0; second <= 10; second++) {
    rates.add({ atMs: 1_000 * second, sentBytes: 500 * second, receivedBytes: 2_000 * second })
  }
  t.is(rates.current.received, 2_000)
  t.is(rates.current.sent, 500)
  t.is(rates.all.length, 10)
  rates.add({ atMs: 10_100, sentBytes: 5_000, receivedBytes: 90_000 })
  t.is(rates.current.received, 2_000, 'too soon to say')
  rates.add({ atMs: 11_000, sentBytes: 0, receivedBytes: 0 })
  t.is(rates.all.length, 0, 'counters that went back are others')
  rates.add({ atMs: 12_000, sentBytes: 0, receivedBytes: 700 })
  t.is(rates.current.received, 700)
  for (let second = 13; second < 1_000; second++) {
    rates.add({ atMs: 1_000 * second, sentBytes: 0, receivedBytes: 700 })
  }
  t.ok(rates.all.length <= 304, 'what the chart does not show is forgotten')
})

void test('figures say neither all nor nothing where it is not so', (t) => {
  t.is(percentText(99_999, 100_000), '99.9 %')
  t.is(percentText(100_000, 100_000), '100 %')
  t.is(percentText(1, 100_000), '< 0.1 %')
  t.is(percentText(0, 100_000), '0.0 %')
  t.is(percentText(0, 0), '–')
  t.alike([0, 999, 1_000, 12_345, 999_600, 1_500_000_000].map(bytesText), [
    ...['0 B', '999 B', '1.00 kB', '12.3 kB', '1.00 MB', '1.50 GB']
  ])
  t.is(agoText(null, 0), 'never')
  t.is(agoText(new Date(0).toISOString(), 500), 'now')
  t.is(agoText(new Date(0).toISOString(), 3_700_000), '1 h ago')
})
