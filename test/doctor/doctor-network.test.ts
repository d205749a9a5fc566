import test from 'brittle'
import { networkOf } from '../../src/doctor/doctor-network.ts'
import type { NatStatus } from '../../src/p2p/reach/nat-status.ts'

const NAT: NatStatus = { kind: 'open', seenAt: '192.0.2.7:4000', isAssumed: false, relays: [] }
const ANY_PORT = '0.0.0.0:4000'

test('doctor says how peers reach a machine, and what helps where they do not', (t) => {
  const table: [
    online: boolean,
    nat: Partial<NatStatus>,
    listen: string,
    ok: string,
    says: RegExp
  ][] = [
    [false, {}, ANY_PORT, 'partly', /no node of the DHT answers/],
    [true, {}, ANY_PORT, 'yes', /reachable from outside, at 192.0.2.7:4000/],
    [true, { isAssumed: true }, ANY_PORT, 'yes', /nat = open/],
    [true, { kind: 'consistent' }, ANY_PORT, 'yes', /one port for all.*holes/],
    [true, { kind: 'random', seenAt: '192.0.2.7' }, ANY_PORT, 'partly', /another port for each/],
    [true, { kind: 'random', relays: ['key'] }, ANY_PORT, 'yes', /a relay is used/],
    [true, { kind: 'random' }, '192.0.2.7:7777', 'yes', /another port/],
    [true, { kind: 'unknown', seenAt: null }, ANY_PORT, 'partly', /too few nodes/]
  ]
  for (const [online, nat, listen, ok, says] of table) {
    const check = networkOf({ online, nat: { ...NAT, ...nat }, listen })
    t.is(check.ok, ok, check.detail)
    t.ok(says.test(check.detail), check.detail)
    t.is(check.remedy !== '', ok !== 'yes')
  }
})
