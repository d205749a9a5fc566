import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ContainerError } from '../../core/errors.ts'
import { machineHome } from '../../machine/state/machine-paths.ts'
import type { Globals } from '../parse/globals.ts'

/** Those of `names` that have a machine to themselves. */
export async function isolatedAmong(names: readonly string[], home: string): Promise<string[]> {
  // Most containers have no machine: nothing is loaded, and nothing made, to find that out.
  const known = names.filter((name) => existsSync(join(home, 'machines', name, 'config.json')))
  if (known.length === 0) return []
  const { isolatedIn } = await import('../../machine/lifecycle/isolated-machine.ts')
  const paths = machineHome(home)
  const found: string[] = []
  for (const name of known) {
    if ((await isolatedIn(paths, name)) !== undefined) found.push(name)
  }
  return found
}

/**
 * Carries `stop`, `kill` and `rm` out on containers that have machines to themselves. Those of one call
 * are all such, as one document tells what was done.
 *
 * @throws ContainerError `USAGE`, `NOT_RUNNING`, `BUSY`, `IO`
 */
export async function endIsolatedContainers(
  verb: 'stop' | 'kill' | 'rm',
  names: readonly string[],
  flags: { readonly time?: number; readonly force?: boolean },
  { home, output }: Globals
): Promise<void> {
  const isolated = await isolatedAmong(names, home)
  const others = names.filter((name) => !isolated.includes(name))
  if (others.length > 0) {
    throw new ContainerError('USAGE', `${isolated.join(', ')} and ${others.join(', ')} run apart`, {
      hint: 'name containers that have a machine of their own in a separate command'
    })
  }
  const { removeIsolated, stopIsolated } =
    await import('../../machine/lifecycle/isolated-machine.ts')
  const paths = machineHome(home)
  if (verb === 'rm') {
    for (const name of names) await removeIsolated(paths, name, flags.force ?? false)
    output.result({ removed: names }, () => names)
    return
  }
  const timeoutMs = verb === 'kill' ? 0 : (flags.time ?? 0)
  const stopped: { name: string; orderly: boolean }[] = []
  for (const name of names) {
    stopped.push({ name, ...(await stopIsolated(paths, name, timeoutMs)) })
  }
  output.result(stopped, () =>
    stopped.map(({ name, orderly }) => (orderly ? name : `${name} (killed)`))
  )
}
