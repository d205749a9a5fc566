import { BlockList, isIP } from 'node:net'

/** Ranges of addresses that mean another machine in each place, the narrowest first. */
const SCOPES = [
  // Linux connects to itself for 0.0.0.0 and ::, too.
  scope(['127.0.0.0', 8, 'ipv4'], ['0.0.0.0', 8, 'ipv4'], ['::', 127, 'ipv6']),
  scope(['169.254.0.0', 16, 'ipv4'], ['fe80::', 10, 'ipv6']),
  scope(
    ['10.0.0.0', 8, 'ipv4'],
    ['172.16.0.0', 12, 'ipv4'],
    ['192.168.0.0', 16, 'ipv4'],
    ['100.64.0.0', 10, 'ipv4'],
    ['fc00::', 7, 'ipv6']
  )
]

/** Whether an address may mean the same machine to a peer that this machine reaches at `viewer`. */
export function isMeaningfulTo(address: string, viewer: string): boolean {
  return scopeOf(address) >= scopeOf(viewer)
}

function scope(...ranges: (readonly [string, number, 'ipv4' | 'ipv6'])[]): BlockList {
  const list = new BlockList()
  for (const [address, bits, family] of ranges) list.addSubnet(address, bits, family)
  return list
}

function scopeOf(address: string): number {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  const at = SCOPES.findIndex((list) => list.check(address, family))
  return at === -1 ? SCOPES.length : at
}
