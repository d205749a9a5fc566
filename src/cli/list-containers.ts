import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { ContainerSummary } from '../boot/container-summary.ts'
import { machineHome } from '../machine/machine-paths.ts'
import type { Globals } from './globals.ts'
import { healthOf } from './image-health-text.ts'
import { printable, table } from './output.ts'

/** A container as `ps` shows it. */
type Listed = Pick<ContainerSummary, 'name' | 'image' | 'state' | 'startedAt'> &
  Partial<ContainerSummary> & { readonly machine: string | null }

/**
 * Prints containers: this machine's own, those of its virtual machines, or both.
 *
 * @param where.all the stopped ones too
 */
export async function listEverywhere(
  where: { readonly all: boolean; readonly here: boolean; readonly machines: boolean },
  globals: Globals
): Promise<void> {
  const list: Listed[] = []
  if (where.here) {
    const { listContainers } = await import('../boot/containers.ts')
    const own = await listContainers(globals.home, { all: where.all })
    list.push(...own.map((container) => ({ ...container, machine: null })))
  }
  if (where.machines) list.push(...(await inMachines(where.all, globals)))
  globals.output.result(list, () => rows(list))
  for (const { problem } of list) if (problem) globals.output.note(printable(problem))
}

async function inMachines(all: boolean, { home, output }: Globals): Promise<Listed[]> {
  if (!existsSync(join(home, 'machines'))) return []
  const { listGuestContainers } = await import('../machine/guest-containers.ts')
  const { stoppedIsolated, sweepIsolated } = await import('../machine/isolated-machine.ts')
  const places = machineHome(home)
  await sweepIsolated(places)
  const running = await listGuestContainers(places, {
    all,
    onFailure: (error) => output.note(`left out: ${(error as Error).message}`)
  })
  if (!all) return running
  const stopped = (await stoppedIsolated(places)).map(({ name, image, createdAt }) => ({
    ...{ name, image, createdAt, machine: name },
    ...({ state: 'stopped', startedAt: null } as const)
  }))
  return [...running, ...stopped]
}

function rows(list: readonly Listed[]): string[] {
  const hasMachines = list.some(({ machine }) => machine !== null)
  const head = ['NAME', 'IMAGE', 'STATE', 'MOUNT', 'LEADER', 'SINCE']
  return table([
    hasMachines ? [...head, 'MACHINE'] : head,
    ...list.map((container) => {
      const version = typeof container.version !== 'number' ? '' : `@${container.version}`
      const status = container.exitCode ?? null
      const row = [
        container.name,
        `${printable(container.image ?? '-')}${version}`,
        container.state === 'stopped' && status !== null
          ? `stopped (${status})`
          : [container.state, ...healthOf(container)].join(', '),
        container.mountMode ?? '-',
        String(container.leader ?? '-'),
        container.startedAt ?? '-'
      ]
      return hasMachines ? [...row, container.machine ?? '-'] : row
    })
  ])
}
