import test from 'brittle'
import { evictionOrder, mayBeEvicted } from '../../../src/daemon/keep/eviction-order.ts'

const READ = { role: 'reader', follow: false, publishing: false } as const

void test('only an image that came by being read may be evicted', (t) => {
  t.is(mayBeEvicted(READ), true)
  const kept = {
    'one of this home': { ...READ, role: 'owner' as const },
    'a mirror': { ...READ, role: 'mirror' as const, follow: true },
    'one that is read and mirrored': { ...READ, follow: true },
    'one that is seeded': { ...READ, kept: { version: null } },
    'a version that is seeded': { ...READ, kept: { version: 2 } },
    'one that is pinned': { ...READ, pinned: true },
    'one of a client': { ...READ, temporary: true },
    'one that is being published': { ...READ, publishing: true }
  }
  for (const [what, entry] of Object.entries(kept)) t.is(mayBeEvicted(entry), false, what)
})

void test('complete images go first, and of each kind the least recently used', (t) => {
  const images = [
    { name: 'part, new', isComplete: false, usedMs: 4 },
    { name: 'whole, new', isComplete: true, usedMs: 3 },
    { name: 'part, old', isComplete: false, usedMs: 1 },
    { name: 'whole, old', isComplete: true, usedMs: 2 }
  ]
  t.alike(
    evictionOrder(images).map(({ name }) => name),
    ['whole, old', 'whole, new', 'part, old', 'part, new']
  )
})
