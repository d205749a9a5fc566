/** Arguments and log lines of a dnsmasq that starts machines from a network. */
import { isIPv4 } from 'node:net'
import { ContainerError } from '../../core/errors.ts'

/** IPv4 addresses that are given to machines, the last one included. */
export interface AddressRange {
  readonly first: string
  readonly last: string
}

/** An interface of this machine with its IPv4 address. */
export interface ServingInterface {
  readonly name: string
  readonly address: string
  readonly netmask: string
}

export interface DhcpPlan {
  readonly interface: ServingInterface
  /** Undefined where another DHCP server gives addresses: this one adds what to start. */
  readonly range?: AddressRange | undefined
  readonly scriptUrl: string
  readonly loaders: Loaders
}

/** iPXE for machines whose firmware is another one: names of files in a folder, served by TFTP. */
export interface Loaders {
  readonly folder?: string
  readonly bios?: string | undefined
  readonly efi?: string | undefined
}

/** An event of a client in dnsmasq's log. */
export type DhcpEvent =
  | {
      readonly event: 'lease'
      readonly client: string
      readonly mac: string
      /** The name that the client said. */
      readonly host?: string
    }
  | { readonly event: 'tftp'; readonly client: string; readonly file: string }

const LEASE_TIME = '1h'
/** The option that only iPXE sends: https://ipxe.org/howto/dhcpd. */
const IPXE_OPTION = 175
/** Types of clients, RFC 4578 and IANA's list: PC BIOS; x64 UEFI by two numbers. */
const BIOS = { number: 0, service: 'x86PC' }
const EFI = [
  { number: 7, service: 'X86-64_EFI' },
  { number: 9, service: 'BC_EFI' }
]
const LEASED = /^dnsmasq-dhcp\[\d+\]: DHCPACK\(\S+\) (\S+) (\S+)(?: (\S+))?/
const SENT = /^dnsmasq-tftp\[\d+\]: sent (\S+) to (\S+)/

/** Plans the arguments of dnsmasq(8) as DHCP and TFTP server, or as proxy that adds to another DHCP server. */
export function planDnsmasq(plan: DhcpPlan): string[] {
  const { range, loaders, scriptUrl } = plan
  return [
    ...['--conf-file=/dev/null', '--keep-in-foreground', '--log-facility=-', '--pid-file='],
    // No name server, and nothing on other interfaces.
    ...['--port=0', `--interface=${plan.interface.name}`, '--bind-interfaces'],
    // Leases are in memory: who starts it again need not know them, as it asks before it gives an address.
    ...['--except-interface=lo', '--leasefile-ro'],
    ...(loaders.folder === undefined ? [] : ['--enable-tftp', `--tftp-root=${loaders.folder}`]),
    `--dhcp-match=set:ipxe,${IPXE_OPTION}`,
    `--dhcp-boot=tag:ipxe,${scriptUrl}`,
    ...(range === undefined
      ? [
          `--dhcp-range=${plan.interface.address},proxy,${plan.interface.netmask}`,
          ...services(BIOS.service, loaders.bios),
          ...EFI.flatMap(({ service }) => services(service, loaders.efi))
        ]
      : [
          `--dhcp-range=${range.first},${range.last},${plan.interface.netmask},${LEASE_TIME}`,
          ...boots('bios', [BIOS.number], loaders.bios),
          ...boots(
            'efi',
            EFI.map(({ number }) => number),
            loaders.efi
          )
        ])
  ]
}

function services(type: string, file: string | undefined): string[] {
  return file === undefined ? [] : [`--pxe-service=tag:!ipxe,${type},HyperOS,${file}`]
}

function boots(tag: string, numbers: readonly number[], file: string | undefined): string[] {
  if (file === undefined) return []
  return [
    ...numbers.map((number) => `--dhcp-match=set:${tag},option:client-arch,${number}`),
    `--dhcp-boot=tag:!ipxe,tag:${tag},${file}`
  ]
}

/** Parses a line of dnsmasq's log that concerns a client. @returns undefined for other lines */
export function parseDnsmasqLine(line: string): DhcpEvent | undefined {
  const [, client, mac, host] = LEASED.exec(line) ?? []
  if (client !== undefined && mac !== undefined) {
    return { event: 'lease', client, mac, ...(host === undefined ? {} : { host }) }
  }
  const [, path, reader] = SENT.exec(line) ?? []
  if (path === undefined || reader === undefined) return undefined
  return { event: 'tftp', client: reader, file: path.slice(path.lastIndexOf('/') + 1) }
}

/**
 * Reads `FIRST,LAST`: addresses of the interface's own network.
 *
 * @throws ContainerError `USAGE`
 */
export function parseRange(text: string, on: ServingInterface): AddressRange {
  const [first = '', last = '', ...more] = text.split(',').map((part) => part.trim())
  if (!isIPv4(first) || !isIPv4(last) || more.length > 0) {
    throw badRange(`not a range of addresses: ${JSON.stringify(text)}`)
  }
  const mask = toNumber(on.netmask)
  const [low, high, own] = [toNumber(first), toNumber(last), toNumber(on.address)]
  if ([low, high].some((each) => (each & mask) !== (own & mask))) {
    throw badRange(`${text} is not in the network of ${on.name}: ${on.address}/${on.netmask}`)
  }
  // Bitwise operators give signed numbers.
  if (low >>> 0 > high >>> 0) throw badRange(`${last} comes before ${first}`)
  return { first, last }
}

function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => (sum << 8) | Number(part), 0)
}

function badRange(message: string): ContainerError {
  return new ContainerError('USAGE', message, { hint: 'give --range FIRST,LAST' })
}
