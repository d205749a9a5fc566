import { chmod, chown, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { mount, MOUNT_FLAG } from '../../fuse/linux/mount-syscall.ts'
import { ContainerError } from '../../core/errors.ts'
import type { ContainerOptions } from '../state/boot-options.ts'
import { allDevices, findDevices, USUAL_DEVICES } from '../state/device-grant.ts'
import type { DeviceNode, DeviceRule } from '../state/device-grant.ts'
import { runCommand } from '../../core/host/host-command.ts'
import { unmountAllUnder } from '../../fuse/linux/mount-cleanup.ts'
import type { Bind } from '../state/bind-option.ts'
import type { ContainerPaths } from '../state/paths.ts'
import type { IdRange } from '../ids/user-namespace.ts'

/** The devices of this machine that a container may use. */
export interface ContainerDevices {
  /** Undefined: anything. */
  readonly rules: readonly DeviceRule[] | undefined
  readonly binds: readonly Bind[]
}

/**
 * Makes the nodes of devices that a container is given, as its own root's where it has ids of its own, in a
 * place that nobody but root gets to.
 *
 * @param undo gets what undoes it
 * @throws ContainerError `NOT_FOUND`, `USAGE`, `MOUNT_FAILED`, `NEEDS_ROOT`
 */
export async function prepareDevices(
  paths: ContainerPaths,
  { devices = [], privileged = false }: ContainerOptions,
  range: IdRange | undefined,
  undo: (task: () => Promise<void>) => void
): Promise<ContainerDevices> {
  const given = await findDevices(devices)
  const targets = new Set(given.map(({ target }) => target))
  const others = privileged ? await allDevices() : []
  const nodes = [...given, ...others.filter(({ target }) => !targets.has(target))]
  const rules = privileged ? undefined : [...USUAL_DEVICES, ...nodes]
  if (nodes.length === 0) return { rules, binds: [] }
  await mkdir(paths.devices, { recursive: true, mode: 0o700 })
  // Without nodev, so that what it holds can be opened.
  const flags = MOUNT_FLAG.noSuid | MOUNT_FLAG.noExec
  const call = { source: 'tmpfs', target: paths.devices, type: 'tmpfs', flags }
  await mount({ ...call, data: 'mode=700,size=1m' })
  undo(() => unmountAllUnder(paths.devices))
  const binds: Bind[] = []
  for (const [index, node] of nodes.entries()) {
    const source = join(paths.devices, String(index))
    await makeNode(source, node, range)
    binds.push({ source, target: node.target, readOnly: false })
  }
  return { rules, binds }
}

async function makeNode(path: string, node: DeviceNode, range: IdRange | undefined): Promise<void> {
  const args = [path, node.type, String(node.major), String(node.minor)]
  const { exitCode, stderr } = await runCommand('mknod', args)
  if (exitCode !== 0) {
    throw new ContainerError('NEEDS_ROOT', `cannot make a node of ${node.target}: ${stderr.trim()}`)
  }
  await chown(path, range?.base ?? node.uid, range?.base ?? node.gid)
  await chmod(path, node.mode)
}

/** Lists the properties of a systemd scope that restrict its processes to these devices. */
export function devicePolicy(rules: readonly DeviceRule[] | undefined): string[] {
  if (rules === undefined) return []
  return [
    'DevicePolicy=strict',
    ...rules.map(({ type, major, minor, access }) =>
      minor === '*'
        ? `DeviceAllow=char-pts ${access}`
        : `DeviceAllow=/dev/${type === 'b' ? 'block' : 'char'}/${major}:${minor} ${access}`
    )
  ]
}
