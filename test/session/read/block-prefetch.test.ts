import test from 'brittle'
import { BlockPrefetch } from '../../../src/session/read/block-prefetch.ts'

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Blocks that arrive when they are told to. */
class Arrivals {
  readonly asked: number[] = []
  readonly #settle = new Map<number, { resolve: (b: Buffer) => void; reject: (e: Error) => void }>()

  readonly fetch = (block: number): Promise<Buffer> => {
    this.asked.push(block)
    return new Promise((resolve, reject) => this.#settle.set(block, { resolve, reject }))
  }

  async give(block: number, bytes = 1): Promise<void> {
    this.#settle.get(block)?.resolve(Buffer.alloc(bytes, block))
    await settled()
  }

  async fail(block: number): Promise<void> {
    this.#settle.get(block)?.reject(new Error('gone'))
    await settled()
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

void test('blocks are fetched in order, a window at a time, and given once', async (t) => {
  const arrivals = new Arrivals()
  using prefetch = new BlockPrefetch(arrivals.fetch, upTo(40), 32)
  t.alike(arrivals.asked, upTo(32))
  t.ok(prefetch.take(3) instanceof Promise, 'on its way')
  await arrivals.give(0)
  t.is(arrivals.asked.at(-1), 32)
  t.alike(prefetch.take(0), Buffer.from([0]))
  t.absent(prefetch.take(0), 'not twice')
  t.absent(prefetch.take(39), 'not asked for yet')
  await Promise.all(upTo(39).map((block) => arrivals.give(block)))
  await Promise.all(upTo(39).map((block) => arrivals.give(block)))
  t.alike(arrivals.asked, upTo(39), 'nor fetched ahead after its reader came')
  t.absent(prefetch.take(3), 'what was taken on its way is not kept')
})

void test('a block that fails is left to its reader', async (t) => {
  const arrivals = new Arrivals()
  using prefetch = new BlockPrefetch(arrivals.fetch, [5], 32)
  await arrivals.fail(5)
  t.absent(prefetch.take(5))
})

void test('what nobody takes stays bounded, and is forgotten in the end', async (t) => {
  const arrivals = new Arrivals()
  const prefetch = new BlockPrefetch(arrivals.fetch, upTo(100), 32)
  const megabyte = 2 ** 20
  for (const block of upTo(32)) await arrivals.give(block, megabyte)
  const asked = arrivals.asked.length
  for (const block of arrivals.asked.slice(32)) await arrivals.give(block, megabyte)
  t.is(arrivals.asked.length, asked, 'no more while 32 MiB wait')
  for (const block of upTo(40)) void prefetch.take(block)
  t.ok(arrivals.asked.length > asked, 'on as they are taken')
  prefetch[Symbol.dispose]()
  t.absent(prefetch.take(41))
})
