import test from 'brittle'
import { StallWatch, type WatchedPeer } from '../../../src/p2p/crowd/stall-watch.ts'

const BLOCK = 50_000

/** Looks once a second. @param bytesOf what has come from each after so many seconds, with requests open at both */
function stalledAfter(
  seconds: number,
  bytesOf: (id: 'good' | 'bad', second: number) => number,
  owes: (second: number) => number = () => 16
): string[] {
  const watch = new StallWatch()
  const found = new Set<string>()
  for (let second = 0; second <= seconds; second++) {
    const peers: WatchedPeer[] = [
      { id: 'good', inFlight: 16, bytesRead: bytesOf('good', second) },
      { id: 'bad', inFlight: owes(second), bytesRead: bytesOf('bad', second) }
    ]
    for (const id of watch.look(peers, second * 1_000)) found.add(id)
  }
  return [...found]
}

test('a peer that owes blocks while others send theirs has stalled, and nobody else has', (t) => {
  const sends = (id: string, second: number): number => (id === 'good' ? second * BLOCK : 0)
  t.alike(stalledAfter(9, sends), [], 'not at once')
  t.alike(stalledAfter(12, sends), ['bad'])
  t.alike(
    stalledAfter(60, sends, () => 0),
    [],
    'not one that was asked for nothing'
  )
  t.alike(
    stalledAfter(60, () => 0),
    [],
    'not when all stop: then it is the network'
  )
  const slow = (id: string, second: number): number =>
    id === 'good' ? second * BLOCK : Math.floor(second / 8) * BLOCK
  t.alike(stalledAfter(120, slow), [], 'not one that is slow')
  const alive = (id: string, second: number): number =>
    id === 'good' ? second * BLOCK : second * 20
  t.alike(stalledAfter(12, alive), ['bad'], 'keep-alives are no blocks')
})

test('a peer is suspect long before it has stalled, until a block comes', (t) => {
  const watch = new StallWatch()
  const look = (second: number, inFlight: number): string[] =>
    watch.look(
      [
        { id: 'good', inFlight: 1, bytesRead: second * BLOCK },
        { id: 'bad', inFlight, bytesRead: 0 }
      ],
      second * 1_000
    )
  look(0, 1)
  look(1, 1)
  t.absent(watch.isSuspect('bad'))
  look(2, 1)
  t.ok(watch.isSuspect('bad'))
  t.absent(watch.isSuspect('good'))
  watch.arrived('bad', 2_500)
  t.absent(watch.isSuspect('bad'))
  look(3, 1)
  look(4, 1)
  look(5, 1)
  for (let second = 6; second < 12; second++) t.alike(look(second, 0), [])
  t.ok(watch.isSuspect('bad'), 'what was called off meanwhile does not clear it')
  t.alike(look(14, 0), ['bad'])
})

test('a peer that goes and comes back has not paid what it owed', (t) => {
  const watch = new StallWatch()
  const peers = (bad: boolean, second: number): WatchedPeer[] => [
    { id: 'good', inFlight: 1, bytesRead: second * BLOCK },
    ...(bad ? [{ id: 'bad', inFlight: 1, bytesRead: 0 }] : [])
  ]
  for (let second = 0; second < 9; second++) watch.look(peers(true, second), second * 1_000)
  watch.look(peers(false, 9), 9_000)
  for (let second = 10; second < 60; second++) watch.look(peers(false, second), second * 1_000)
  t.alike(watch.look(peers(true, 60), 60_000), [], 'the time between does not count')
  t.alike(watch.look(peers(true, 61), 61_000), ['bad'])
  t.alike(watch.look(peers(true, 62), 62_000), [], 'after that it begins anew')
})
