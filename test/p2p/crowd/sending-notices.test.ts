import test from 'brittle'
import { SendingNotices, sendingFor } from '../../../src/p2p/crowd/sending-notices.ts'

const A = Buffer.alloc(32, 1)
const B = Buffer.alloc(32, 2)
const NEWCOMER = Buffer.alloc(32, 3)

test('a newcomer is told of what others have requested of late, and of nothing older', (t) => {
  let now = 0
  using notices = new SendingNotices(
    () => {},
    () => now
  )
  notices.note(A, 1)
  now = 10_000
  notices.note(B, 2)
  t.alike(told(notices, NEWCOMER), [1, 2])
  t.alike(told(notices, A), [2], 'not of its own requests')
  now = 20_000
  t.alike(told(notices, NEWCOMER), [2], 'a reader that stopped long ago says itself what it has')
  notices.forget(B)
  t.alike(told(notices, NEWCOMER), [], 'nor of one that has gone')
})

function told(notices: SendingNotices, peer: Buffer): number[] {
  return sendingFor(peer, notices.recent).flatMap(({ blocks }) => [...blocks])
}
