import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { ContainerSummary } from '../../boot/containers/container-summary.ts'
import { machineHome } from '../../machine/state/machine-paths.ts'
import type { Globals } from '../parse/globals.ts'
import { healthOf } from '../print/image-health-text.ts'
import { ago, containerFilter, filledIn } from '../parse/list-format.ts'
import { printable } from '../print/output.ts'
import { fittedTable, shortened } from '../print/table.ts'

/** So much of a command is shown; `--json` has all of it. */
const MOST_COMMAND = 40

/** A container as `ps` shows it. */
type Listed = Pick<ContainerSummary, 'name' | 'image' | 'state' | 'startedAt'> &
  Partial<ContainerSummary> & { readonly machine: string | null }

/** Flags of `ps`. */
export interface ListFlags {
  /** The stopped ones too. */
  readonly all?: boolean
  readonly quiet?: boolean
  readonly filter?: readonly string[]
  readonly format?: string
}

/**
 * Prints containers: this machine's own, those of its virtual machines, or both.
 *
 * @throws ContainerError `USAGE` for a filter or a template that says nothing
 */
export async function listEverywhere(
  { all = false, quiet = false, filter = [], format }: ListFlags,
  where: { readonly here: boolean; readonly machines: boolean },
  globals: Globals
): Promise<void> {
  const isMeant = containerFilter(filter)
  const found: Listed[] = []
  if (where.here) {
    const { listContainers } = await import('../../boot/containers/containers.ts')
    const own = await listContainers(globals.home, { all })
    found.push(...own.map((container) => ({ ...container, machine: null })))
  }
  if (where.machines) found.push(...(await inMachines(all, globals)))
  const list = found.filter((container) => isMeant(container))
  globals.output.result(list, () => {
    if (format !== undefined) {
      // Less is known about a container in a machine: a field that it lacks is empty, and no error.
      const fields = new Set(list.flatMap((container) => Object.keys(container)))
      return list.map((container) => filledIn(format, container, fields))
    }
    return quiet ? list.map(({ name }) => name) : rows(list)
  })
  for (const { problem } of list) if (problem) globals.output.note(printable(problem))
}

async function inMachines(all: boolean, { home, output }: Globals): Promise<Listed[]> {
  if (!existsSync(join(home, 'machines'))) return []
  const { listGuestContainers } = await import('../../machine/guest/guest-containers.ts')
  const { stoppedIsolated, sweepIsolated } =
    await import('../../machine/lifecycle/isolated-machine.ts')
  const paths = machineHome(home)
  await sweepIsolated(paths)
  const running = await listGuestContainers(paths, {
    all,
    onFailure: (error) => output.note(`left out: ${(error as Error).message}`)
  })
  if (!all) return running
  const stopped = (await stoppedIsolated(paths)).map(({ name, image, createdAt }) => ({
    ...{ name, image, createdAt, machine: name },
    ...({ state: 'stopped', startedAt: null } as const)
  }))
  return [...running, ...stopped]
}

function rows(list: readonly Listed[]): string[] {
  const hasMachines = list.some(({ machine }) => machine !== null)
  const head = ['NAME', 'IMAGE', 'COMMAND', 'STATE', 'SINCE', 'CREATED', 'MOUNT', 'LEADER']
  return fittedTable([
    hasMachines ? [...head, 'MACHINE'] : head,
    ...list.map((container) => {
      const version = typeof container.version !== 'number' ? '' : `@${container.version}`
      const status = container.exitCode ?? null
      const row = [
        container.name,
        `${printable(container.image ?? '-')}${version}`,
        commandText(container.command),
        container.state === 'stopped' && status !== null
          ? `stopped (${status})`
          : [container.state, ...healthOf(container)].join(', '),
        ago(container.startedAt ?? container.endedAt),
        ago(container.createdAt),
        container.mountMode ?? '-',
        String(container.leader ?? '-')
      ]
      return hasMachines ? [...row, container.machine ?? '-'] : row
    })
  ])
}

function commandText(command: readonly string[] | null | undefined): string {
  if (!command) return '-'
  return command.length === 0 ? '(its init)' : shortened(printable(command.join(' ')), MOST_COMMAND)
}
