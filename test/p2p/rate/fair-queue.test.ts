import test from 'brittle'
import { FairQueue, type Waiting } from '../../../src/p2p/rate/fair-queue.ts'
import { TokenBucket } from '../../../src/p2p/rate/token-bucket.ts'

const KIB = 1024

function taken(queue: FairQueue<Waiting>, count: number): Map<string, number> {
  const bytes = new Map<string, number>()
  for (let n = 0; n < count; n++) {
    const item = queue.take()
    if (item === undefined) break
    for (const name of [item.peer, `${item.peer}/${item.image}`]) {
      bytes.set(name, (bytes.get(name) ?? 0) + item.bytes)
    }
  }
  return bytes
}

void test('peers get equal bytes, however many and however large requests they have', (t) => {
  const queue = new FairQueue<Waiting>()
  for (let n = 0; n < 1_000; n++) queue.add({ peer: 'greedy', image: 'a', bytes: 60 * KIB })
  for (let n = 0; n < 1_000; n++) queue.add({ peer: 'small', image: 'a', bytes: 3 * KIB })
  const bytes = taken(queue, 600)
  const [greedy = 0, small = 0] = [bytes.get('greedy'), bytes.get('small')]
  t.ok(Math.abs(greedy - small) <= 128 * KIB, `${greedy} and ${small} bytes`)
})

void test('the images of one peer take turns', (t) => {
  const queue = new FairQueue<Waiting>()
  for (let n = 0; n < 100; n++) queue.add({ peer: 'one', image: 'first', bytes: 10 * KIB })
  for (let n = 0; n < 100; n++) queue.add({ peer: 'one', image: 'second', bytes: 10 * KIB })
  const bytes = taken(queue, 40)
  t.is(bytes.get('one/first'), bytes.get('one/second'))
})

void test('who comes late has its turn at once, and nothing is lost', (t) => {
  const queue = new FairQueue<Waiting>()
  for (let n = 0; n < 50; n++) queue.add({ peer: 'early', image: 'a', bytes: 30 * KIB })
  for (let n = 0; n < 10; n++) queue.take()
  queue.add({ peer: 'late', image: 'a', bytes: 30 * KIB })
  const next = [queue.take(), queue.take(), queue.take()].map((item) => item?.peer)
  t.ok(next.includes('late'), next.join(' '))
  let left = 0
  while (queue.take() !== undefined) left++
  t.is(left, 51 - 13)
  t.ok(queue.isEmpty)
})

void test('a bucket lets its rate pass, and a little more after a rest', (t) => {
  const rate = 1024 * KIB
  const bucket = new TokenBucket(rate, 0)
  let passed = 0
  for (let ms = 0; ms <= 10_000; ms += 10) {
    while (bucket.at(ms) > 0) {
      bucket.take(50 * KIB, ms)
      passed += 50 * KIB
    }
  }
  const ratio = passed / (10 * rate)
  t.ok(ratio > 0.99 && ratio < 1.05, `${ratio.toFixed(3)} of the rate in ten seconds`)
  t.ok(bucket.at(1_000_000) < rate, 'a long rest does not add up')
})
