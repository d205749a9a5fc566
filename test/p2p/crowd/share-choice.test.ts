import test from 'brittle'
import {
  blocksToGiveUp,
  blocksToTake,
  type SharePeer
} from '../../../src/p2p/crowd/share-choice.ts'

const BLOCKS = 200

/** A mirror in a simulation: it has a number of blocks, and room for so many. */
class Mirror implements SharePeer {
  readonly isWhole = false
  readonly held = new Set<number>()
  readonly id: string
  readonly room: number

  constructor(id: string, room: number) {
    this.id = id.repeat(64)
    this.room = room
  }

  has(block: number): boolean {
    return this.held.has(block)
  }
}

const publisher: SharePeer = { id: '9'.repeat(64), isWhole: true, has: () => true }

function view(self: Mirror, others: readonly SharePeer[]) {
  return {
    self: self.id,
    length: BLOCKS,
    isHere: (block: number) => self.has(block),
    peers: others.filter((each) => each !== self)
  }
}

/** Lets mirrors choose at the same moment, round by round, as they cannot know what the others are choosing. */
function fill(mirrors: readonly Mirror[], batch: number): void {
  for (;;) {
    const chosen = mirrors.map((mirror) => {
      const room = mirror.room - mirror.held.size
      return blocksToTake(view(mirror, [publisher, ...mirrors]), Math.min(batch, room))
    })
    if (chosen.every(({ length }) => length === 0)) return
    for (const [n, mirror] of mirrors.entries()) {
      for (const { block } of chosen[n] ?? []) mirror.held.add(block)
    }
  }
}

function union(mirrors: readonly Mirror[]): number {
  return new Set(mirrors.flatMap(({ held }) => [...held])).size
}

void test('mirrors that fill up together hold everything among themselves', (t) => {
  const two = [new Mirror('a', 120), new Mirror('b', 120)]
  fill(two, 16)
  t.is(union(two), BLOCKS, 'two with room for 60 % each')
  const four = ['a', 'b', 'c', 'd'].map((id) => new Mirror(id, 60))
  fill(four, 8)
  t.is(union(four), BLOCKS, 'four with room for 30 % each')
})

void test('mirrors that filled up without knowing of each other come to hold everything', (t) => {
  const one = new Mirror('a', 120)
  const other = new Mirror('b', 120)
  for (const mirror of [one, other]) {
    // The same blocks in both.
    for (let block = 0; block < 120; block++) mirror.held.add(block)
  }
  const both = [one, other]
  for (let round = 0; round < 100 && union(both) < BLOCKS; round++) {
    const moves = both.map((mirror) => {
      const seen = view(mirror, [publisher, ...both])
      const rare = blocksToTake(seen, 10).filter(({ copies }) => copies === 0)
      return { mirror, rare, given: blocksToGiveUp(seen, rare.length) }
    })
    for (const { mirror, rare, given } of moves) {
      for (const { block } of given) mirror.held.delete(block)
      for (const { block } of rare.slice(0, given.length)) mirror.held.add(block)
    }
    t.ok(one.held.size <= one.room && other.held.size <= other.room, 'none grows')
  }
  t.is(union(both), BLOCKS)
})

void test('a block that several mirrors could give up stays with one of them', (t) => {
  const mirrors = ['a', 'b', 'c', 'd'].map((id) => new Mirror(id, BLOCKS))
  for (const { held } of mirrors) for (let block = 0; block < BLOCKS / 2; block++) held.add(block)
  const given = mirrors.map((mirror) =>
    blocksToGiveUp(view(mirror, [publisher, ...mirrors]), BLOCKS).map(({ block }) => block)
  )
  for (const [n, mirror] of mirrors.entries())
    for (const block of given[n] ?? []) mirror.held.delete(block)
  t.is(
    union(mirrors),
    BLOCKS / 2,
    'all gave up what they may at the same moment, and nothing is lost'
  )
})

void test('blocks that nobody has are not chosen', (t) => {
  const mirror = new Mirror('a', BLOCKS)
  const other = new Mirror('b', BLOCKS)
  other.held.add(7)
  t.alike(
    blocksToTake(view(mirror, [other]), BLOCKS).map(({ block }) => block),
    [7]
  )
})
