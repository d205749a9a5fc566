import { ContainerError } from '../../core/errors.ts'
import { serialConsole, type Architecture } from './machine-types.ts'

/** The address of this machine for a guest in QEMU's user-mode network. */
export const HOST_AS_GUEST_SEES_IT = '10.0.2.2'
/** The address that QEMU's DHCP server gives to its only guest. */
export const GUEST_ADDRESS = '10.0.2.15'
/**
 * Programs of the guest lie at the same addresses at each start. QEMU's emulation keeps what it translated by
 * address: else it translates all of a program anew each time that it starts, which takes half of the guest's time.
 */
export const FIXED_ADDRESSES = 'norandmaps'
/** COMMAND_LINE_SIZE of Linux on x86 and arm64, the NUL at its end not counted. */
const LONGEST_COMMAND_LINE = 2047

/**
 * Plans the kernel's command line. HyperOS reads from it its host name, the keys that may log in as root (base64
 * of an authorized_keys file), and a private DHT.
 *
 * @throws ContainerError `USAGE` when it is too long for the kernel
 */
export function planCommandLine(options: {
  architecture: Architecture
  /** The guest's host name; without one it keeps its own. */
  name?: string | undefined
  authorizedKeys: string
  bootstrap?: string | undefined
  /** @default false */
  fixedAddresses?: boolean
  append?: string | undefined
}): string {
  const line = [
    `console=${serialConsole(options.architecture)}`,
    ...(options.name === undefined ? [] : [`host=${options.name}`]),
    `sshkey64=${Buffer.from(options.authorizedKeys).toString('base64')}`,
    ...(options.bootstrap === undefined ? [] : [`dat.bootstrap=${asGuestSees(options.bootstrap)}`]),
    ...(options.fixedAddresses === true ? [FIXED_ADDRESSES] : []),
    ...(options.append === undefined ? [] : [options.append])
  ].join(' ')
  if (Buffer.byteLength(line) > LONGEST_COMMAND_LINE) {
    throw new ContainerError('USAGE', 'the command line is too long for the kernel', {
      hint: `it has ${Buffer.byteLength(line)} bytes, and the limit is ${LONGEST_COMMAND_LINE}: shorten --append`
    })
  }
  return line
}

/** Nodes of a private DHT (`host:port,…`) on this machine's loopback, by the address a guest uses. */
function asGuestSees(bootstrap: string): string {
  return bootstrap
    .split(',')
    .map((node) =>
      node.trim().replace(/^(127(?:\.\d{1,3}){3}|localhost)(?=:)/, HOST_AS_GUEST_SEES_IT)
    )
    .join(',')
}
