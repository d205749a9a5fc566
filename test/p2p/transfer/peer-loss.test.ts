import test from 'brittle'
import { PeerLoss } from '../../../src/p2p/transfer/peer-loss.ts'

const everybodyHas = (): boolean => true
const nobodyHas = (): boolean => false

test('all reads share the deadline of the first that nobody answers', (t) => {
  const loss = new PeerLoss()
  const first = loss.begin(1, 1_000)
  const second = loss.begin(2, 4_000)
  t.is(loss.lostSinceMs(first, everybodyHas), 1_000)
  t.is(loss.lostSinceMs(second, everybodyHas), 1_000, 'a silent peer is as good as none')
  t.is(loss.lostSinceMs(second, nobodyHas), 1_000)
})

test('what comes tells that peers are there, but nobody waits longer than from when it asked', (t) => {
  const loss = new PeerLoss()
  const first = loss.begin(1, 1_000)
  loss.arrived(3_000)
  const second = loss.begin(2, 4_000)
  t.is(loss.lostSinceMs(first, everybodyHas), 1_000)
  t.is(loss.lostSinceMs(second, everybodyHas), 3_000)
  loss.arrived(5_000)
  t.is(loss.lostSinceMs(second, everybodyHas), 4_000)
})

test('blocks that no peer has are lost together, while others come', (t) => {
  const loss = new PeerLoss()
  const has = (block: number): boolean => block >= 10
  loss.begin(1, 1_000)
  loss.begin(10, 500)
  loss.arrived(5_000)
  t.is(loss.lostSinceMs(loss.begin(2, 6_000), has), 1_000)
  t.is(loss.lostSinceMs(loss.begin(11, 6_000), has), 5_000, 'one that a peer has is not')
})

test('a loss is over when nobody asks any more', (t) => {
  const loss = new PeerLoss()
  loss.end(loss.begin(1, 1_000))
  t.is(loss.lostSinceMs(loss.begin(2, 9_000), nobodyHas), 9_000)
})
