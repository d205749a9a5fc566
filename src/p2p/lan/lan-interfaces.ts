import { BlockList, isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'

/** An IPv4 address of this machine and the network that it is in. */
export interface LanInterface {
  readonly address: string
  /** Whether another address is in the same network. */
  includes(address: string): boolean
}

/** Networks that this machine is in now, loopback excluded. */
export function lanInterfaces(): LanInterface[] {
  const found: LanInterface[] = []
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, cidr, internal } of addresses ?? []) {
      const bits = Number(cidr?.split('/')[1])
      if (internal || !isIPv4(address) || !Number.isInteger(bits)) continue
      const network = new BlockList()
      network.addSubnet(address, bits)
      found.push({ address, includes: (other) => isIPv4(other) && network.check(other) })
    }
  }
  return found
}
