import { runCommand } from '../../core/host/host-command.ts'
import { ContainerError } from '../../core/errors.ts'
import type { ServingInterface } from './netboot-dhcp.ts'
import * as v from 'valibot'
import { parseJson } from '../../core/json-file.ts'

/** The part of what `ip -json address` prints (ip-address(8)) that is used here. */
const shownInterfaces = v.array(
  v.looseObject({
    addr_info: v.optional(
      v.array(v.looseObject({ local: v.optional(v.string()), prefixlen: v.optional(v.number()) }))
    )
  })
)

/**
 * The first IPv4 address of an interface. Node.js tells of interfaces with a carrier alone, and a bridge
 * has none before its first machine is switched on.
 *
 * @throws ContainerError `NOT_FOUND`, `MISSING_TOOL`
 */
export async function findInterface(name: string): Promise<ServingInterface> {
  const argv = ['-json', '-4', 'address', 'show', 'dev', name]
  const { exitCode, stdout } = await runCommand('ip', argv)
  if (exitCode !== 0) {
    throw new ContainerError('NOT_FOUND', `there is no network interface ${name}`, {
      hint: 'ip address lists them'
    })
  }
  const shown = parseJson(stdout, shownInterfaces) ?? []
  const { local, prefixlen } = shown.flatMap(({ addr_info = [] }) => addr_info)[0] ?? {}
  if (local === undefined || prefixlen === undefined) {
    throw new ContainerError('NOT_FOUND', `the interface ${name} has no IPv4 address`, {
      hint: `give it one: ip address add ADDRESS/24 dev ${name}`
    })
  }
  return { name, address: local, netmask: netmaskOf(prefixlen) }
}

/** @param length of the prefix, 0 to 32 bits */
function netmaskOf(length: number): string {
  const bytes = [0, 8, 16, 24].map((at) => 256 - 2 ** (8 - Math.min(8, Math.max(0, length - at))))
  return bytes.join('.')
}
