import test from 'brittle'
import { BlockChoice, mixed, type Holder } from '../../../src/p2p/crowd/block-choice.ts'

const BLOCKS = 100
const KEY_A = 'aa'.repeat(32)
const KEY_B = 'bb'.repeat(32)
const SELF = 'cc'.repeat(32)
const PUBLISHER = 'ff'.repeat(32)
const beginning = (key: string): string => key.slice(0, 16)

/** A peer with some blocks. */
function peer(id: string, blocks: readonly number[] | 'all', inFlight = 0): Holder {
  return {
    id,
    inFlight,
    isWhole: blocks === 'all',
    has: (block) => blocks === 'all' || blocks.includes(block)
  }
}

/** Blocks for which this reader comes before the others, and such for which it comes after all of them. */
const turns = (...others: readonly string[]): { first: number[]; last: number[] } => {
  const all = Array.from({ length: 1_000 }, (_, block) => block)
  return {
    first: all.filter((block) => others.every((key) => mixed(key, block) < mixed(SELF, block))),
    last: all.filter((block) => others.every((key) => mixed(key, block) > mixed(SELF, block)))
  }
}
const calm = (block: number) => ({ block, isUrgent: false })
const urgent = (block: number) => ({ block, isUrgent: true })
const pool = (blocks: readonly number[]) => ({
  at: (random: number) => blocks[Math.floor(random * blocks.length)]
})

test('with one peer, everything is asked of it, and after its first answer as much as ever', (t) => {
  const publisher = peer(PUBLISHER, 'all')
  const choice = new BlockChoice(SELF, () => [publisher])
  t.is(choice.window(PUBLISHER, false, 0), 8, 'others may have begun, too')
  t.ok(choice.window(PUBLISHER, true, 0) > 8, 'what somebody waits for goes beyond it')
  t.ok(choice.mayAsk(publisher, calm(1), 0))
  choice.noteArrival(PUBLISHER, 1, 40, 40)
  t.is(choice.window(PUBLISHER, false, 40), Infinity)
  t.absent(choice.isCrowd(40))
})

test('what the only peer sends to another reader is waited for until the readers may have met', (t) => {
  const publisher = peer(PUBLISHER, 'all')
  const choice = new BlockChoice(SELF, () => [publisher])
  choice.noteArrival(PUBLISHER, 1, 40, 0)
  choice.noteSending(PUBLISHER, beginning(KEY_A), [2], 0)
  t.absent(choice.mayAsk(publisher, calm(2), 10))
  t.ok(choice.mayAsk(publisher, urgent(2), 10), 'somebody waits for it')
  t.ok(choice.mayAsk(publisher, calm(3), 10), 'it sends this one to nobody')
  t.ok(choice.mayAsk(publisher, calm(2), 2_000), 'they have not met')
  t.ok(choice.window(PUBLISHER, false, 10) < 8, 'others have their part of its link')
})

test('readers take turns at a shared peer for a block that nobody else has', (t) => {
  const publisher = peer(PUBLISHER, 'all')
  const reader = peer(KEY_A, [])
  const { first, last } = turns(KEY_A)
  const choice = new BlockChoice(SELF, () => [publisher, reader])
  t.ok(choice.mayAsk(publisher, calm(last[0]!), 0), 'the other one rests')
  choice.noteRequest(KEY_A, 0)
  t.ok(choice.mayAsk(publisher, calm(first[0]!), 0), 'this reader comes first')
  t.absent(choice.mayAsk(publisher, calm(last[1]!), 0))
  t.absent(choice.mayAsk(publisher, calm(last[1]!), 40))
  t.ok(choice.mayAsk(publisher, calm(last[1]!), 60), 'the other one does not want it')
  choice.noteArrival(PUBLISHER, first[0]!, 1_000, 100)
  t.absent(choice.mayAsk(publisher, calm(last[2]!), 100))
  t.absent(
    choice.mayAsk(publisher, calm(last[2]!), 1_000),
    'a slow peer has given it to nobody yet'
  )
  t.ok(choice.mayAsk(publisher, urgent(last[2]!), 1_700), 'somebody waits for it')
  t.ok(choice.mayAsk(publisher, calm(last[2]!), 2_200))
  t.ok(choice.mayAsk(reader, calm(last[3]!), 100), 'another reader is asked at any time')
  t.ok(choice.mayAsk(publisher, calm(last[4]!), 6_000), 'the other one has stopped')
})

test('the more readers come before this one, the longer it waits, and the third is the last', (t) => {
  const ids = ['11', '22', '33', '44', '55'].map((digits) => digits.repeat(32))
  const publisher = peer(PUBLISHER, 'all')
  const waits = [1, 2, 3, 5].map((count) => {
    const keys = ids.slice(0, count)
    const choice = new BlockChoice(SELF, () => [publisher, ...keys.map((key) => peer(key, []))])
    for (const key of keys) choice.noteRequest(key, 0)
    const block = turns(...keys).last[0]!
    let now = 0
    while (!choice.mayAsk(publisher, calm(block), now)) now += 10
    return now
  })
  t.alike(waits, [50, 100, 150, 150])
})

test('a block that is on its way to another reader is waited for, and not for ever', (t) => {
  const publisher = peer(PUBLISHER, 'all')
  const reader = peer(KEY_A, [])
  const choice = new BlockChoice(SELF, () => [publisher, reader])
  const [one = 0, two = 0, three = 0] = turns(KEY_A).first
  choice.noteSending(PUBLISHER, beginning(KEY_A), [one], 0)
  t.absent(choice.mayAsk(publisher, calm(one), 100))
  t.ok(choice.mayAsk(publisher, calm(two), 100), 'others are asked for')
  t.absent(choice.mayAsk(publisher, calm(one), 3_000))
  t.ok(choice.mayAsk(publisher, calm(one), 5_000), 'it does not come')

  t.absent(choice.mayAsk(publisher, urgent(one), 100))
  t.ok(choice.mayAsk(publisher, urgent(one), 600), 'somebody waits for it')
  choice.noteSending(PUBLISHER, beginning(KEY_B), [three], 0)
  t.ok(
    choice.mayAsk(publisher, urgent(three), 100),
    'it goes to a reader that is not connected here'
  )
  t.absent(choice.mayAsk(publisher, calm(three), 100))

  choice.forget(KEY_A)
  t.ok(choice.mayAsk(publisher, calm(one), 100), 'the reader that was to get it has gone')
})

test('a publisher that serves others is asked for nothing that a reader can give', (t) => {
  const publisher = peer(PUBLISHER, 'all')
  let reader = peer(KEY_A, [1, 2])
  const choice = new BlockChoice(SELF, () => [publisher, reader])
  t.ok(choice.mayAsk(publisher, calm(1), 0), 'it serves nobody else')
  choice.noteSending(PUBLISHER, beginning(KEY_B), [90], 0)
  t.absent(choice.mayAsk(publisher, calm(1), 10))
  t.ok(choice.mayAsk(reader, calm(1), 10))
  t.ok(choice.mayAsk(publisher, calm(3), 10), 'it alone has this one')
  t.absent(choice.mayAsk(publisher, urgent(1), 10))

  reader = peer(KEY_A, [1, 2], 64)
  t.absent(choice.mayAsk(publisher, calm(1), 20))
  t.ok(choice.mayAsk(publisher, urgent(1), 20), 'the reader has enough to do')
  choice.noteSending(PUBLISHER, beginning(KEY_B), [91], 2_900)
  t.ok(choice.mayAsk(publisher, calm(1), 3_000), 'the reader gives nothing')
  t.ok(choice.mayAsk(publisher, calm(2), 9_000), 'it has stopped serving others')
})

test('a reader that is slow, or says that it has what it never gives, holds nobody up', (t) => {
  const publisher = peer(PUBLISHER, 'all')
  const slow = peer(KEY_A, [1, 2, 3])
  const choice = new BlockChoice(SELF, () => [publisher, slow])
  choice.noteArrival(PUBLISHER, 90, 200, 0)
  choice.noteSending(PUBLISHER, beginning(KEY_B), [91], 0)
  t.absent(choice.mayAsk(publisher, calm(1), 10), 'it is asked first')
  choice.noteArrival(KEY_A, 80, 1_900, 1_900)
  choice.noteSending(PUBLISHER, beginning(KEY_B), [92], 1_900)
  t.ok(choice.mayAsk(publisher, calm(1), 2_000), 'it took two seconds for one block')
  t.ok(choice.mayAsk(publisher, urgent(1), 2_000))
  for (let n = 0; n < 20; n++) choice.noteArrival(PUBLISHER, n, 1_500, 2_000)
  t.absent(choice.mayAsk(publisher, calm(1), 2_000), 'the publisher is as slow')
})

test('a late block is asked of a busy publisher after longer than of others', (t) => {
  const publisher = peer(PUBLISHER, 'all')
  const other = peer(KEY_B, [1])
  const choice = new BlockChoice(SELF, () => [publisher, peer(KEY_A, [1]), other])
  choice.noteSending(PUBLISHER, beginning(KEY_B), [90], 0)
  const late = { block: 1, isUrgent: false, askedMs: 0 }
  t.absent(choice.mayAsk(other, late, 1_000))
  t.ok(choice.mayAsk(other, { ...late, isUrgent: true }, 1_000), 'somebody waits for it')
  t.ok(choice.mayAsk(other, late, 2_500))
  t.absent(choice.mayAsk(publisher, late, 2_500))
  t.ok(choice.mayAsk(publisher, late, 3_500))
})

test('the rarest block is picked, at random among equals, and none that nobody is to be asked for', (t) => {
  const publisher = peer(PUBLISHER, 'all')
  const [a, b] = [peer(KEY_A, [1, 2, 3]), peer(KEY_B, [1, 2])]
  let seed = 1
  const random = (): number => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647
  const choice = new BlockChoice(SELF, () => [publisher, a, b], random)
  const picked = new Set<number | undefined>()
  for (let n = 0; n < 50; n++) picked.add(choice.pick(pool([1, 2, 3, 4, 5]), 0))
  t.ok(picked.size === 2 && picked.has(4) && picked.has(5))
  t.is(choice.pick(pool([1, 2, 3]), 0), 3)
  choice.noteSending(PUBLISHER, beginning(KEY_B), [4, 5], 0)
  t.is(choice.pick(pool([4, 5]), 10), undefined)
  t.is(choice.pick(pool([1, 3, 4, 5]), 10), 3)
  t.is(choice.pick(pool([]), 10), undefined)
})

test('the window of a peer that serves others follows how long its answers take', (t) => {
  const choice = new BlockChoice(SELF, () => [peer(PUBLISHER, 'all'), peer(KEY_A, [])])
  for (let n = 0; n < BLOCKS; n++) choice.noteArrival(PUBLISHER, n, 40, n)
  t.ok(choice.window(PUBLISHER, false, 0) > 16, 'it serves nobody else')
  choice.noteSending(PUBLISHER, beginning(KEY_A), [90], 0)
  const first = choice.window(PUBLISHER, false, 0)
  for (let n = 0; n < BLOCKS; n++) choice.noteArrival(PUBLISHER, n, 40, n)
  const prompt = choice.window(PUBLISHER, false, 0)
  t.ok(prompt > 2 * first, `${first}, then ${prompt}`)
  t.ok(choice.window(PUBLISHER, true, 0) > prompt, 'what somebody waits for goes beyond it')
  for (let n = 0; n < 10 * BLOCKS; n++) choice.noteArrival(PUBLISHER, n, 900, n)
  t.is(choice.window(PUBLISHER, false, 0), 1)
})

test('a block that comes after its request was cancelled does not count as a quick answer', (t) => {
  const choice = new BlockChoice(SELF, () => [peer(PUBLISHER, 'all'), peer(KEY_A, [])])
  choice.noteSending(PUBLISHER, beginning(KEY_A), [90], 0)
  const first = choice.window(PUBLISHER, false, 0)
  choice.noteArrival(PUBLISHER, 0, undefined, 0)
  for (let n = 1; n < BLOCKS; n++) choice.noteArrival(PUBLISHER, n, 900, n)
  t.ok(choice.window(PUBLISHER, false, BLOCKS) > first, 'a far peer that answers steadily has more')
})

test('a block that a read waits for is not asked of a peer that is much slower than another', (t) => {
  const slow = peer(KEY_A, 'all')
  let quick = peer(KEY_B, 'all')
  const choice = new BlockChoice(SELF, () => [slow, quick])
  t.ok(choice.mayAsk(slow, urgent(1), 0), 'nothing is known of either')
  choice.noteArrival(KEY_B, 2, 100, 0)
  choice.noteLate(KEY_A, 3_000, 0)
  t.ok(choice.isUneven())
  t.absent(choice.mayAsk(slow, urgent(1), 10))
  t.ok(choice.mayAsk(quick, urgent(1), 10))
  t.ok(choice.mayAsk(slow, calm(1), 10), 'for the rest it is good enough')
  t.ok(choice.window(KEY_A, false, 10) < 10, 'but for little at once')
  t.is(choice.window(KEY_B, false, 10), Infinity)
  quick = peer(KEY_B, 'all', 64)
  t.ok(choice.mayAsk(slow, urgent(1), 10), 'the quick one has its hands full')
  quick = peer(KEY_B, [5])
  t.ok(choice.mayAsk(slow, urgent(1), 10), 'the quick one does not have it')
})
