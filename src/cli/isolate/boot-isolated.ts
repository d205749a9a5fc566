import { throwIfCancelled } from '../../core/cancel.ts'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import type { ContainerVerb } from '../../machine/guest/container-verb.ts'
import type { MachineOptions } from '../../machine/lifecycle/machine-options.ts'
import { machineHome, type MachineHome } from '../../machine/state/machine-paths.ts'
import type { ImageReference } from '../../p2p/link.ts'
import type { Globals } from '../parse/globals.ts'

/** A `boot --isolate`. */
export interface IsolatedBoot {
  /** All of it but the machine, which has the container's name. */
  readonly verb: Omit<ContainerVerb, 'machine' | 'home' | 'start' | 'signal'>
  readonly image: ImageReference
  /** @default made up from the image's */
  readonly name: string | undefined
  /** Whether the container goes when it ends. */
  readonly remove: boolean
  /** Options of the machine. */
  readonly machine: MachineOptions
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Boots a container in a machine of its own, which ends with it: after a command, a signal, an error;
 * where it is detached, when it ends by itself. A container that stays, as without `--rm`, keeps its
 * machine's disk.
 *
 * @returns the exit status of the guest's command
 */
export async function bootIsolated(boot: IsolatedBoot, globals: Globals): Promise<number> {
  const { checkIsolatedName, newIsolatedName, sweepIsolated } =
    await import('../../machine/lifecycle/isolated-machine.ts')
  const home = machineHome(globals.home)
  await sweepIsolated(home)
  for (;;) {
    const name = boot.name ?? newIsolatedName(home, boot.image)
    try {
      await checkIsolatedName(home, name)
      return await bootNamed(boot, name, home, globals)
    } catch (error) {
      // Another command may have made up the same name.
      if (boot.name !== undefined || !isContainerError(error, 'NAME_IN_USE')) throw error
    }
  }
}

async function bootNamed(
  boot: IsolatedBoot,
  name: string,
  home: MachineHome,
  globals: Globals
): Promise<number> {
  const { daemonPortOf, guestLink } = await import('../../machine/guest/guest-link.ts')
  const { runContainerVerb } = await import('../../machine/guest/container-verb.ts')
  const { endIsolated, imageWithoutSecret, isInMachine, isolatedIn, watchIsolated } =
    await import('../../machine/lifecycle/isolated-machine.ts')
  const { startWatched } = await import('../verbs/machine/machine-start.ts')
  const isNew = (await isolatedIn(home, name)) === undefined
  // A new machine knows no names; a start in software is long, and would be for nothing.
  const link = await guestLink(globals.home, boot.image)
  if (isNew && link.link === undefined) {
    throw new ContainerError('NOT_FOUND', `there is no image ${boot.image.toString()} here`, {
      hint: 'dat-container images lists those that are; or give a link'
    })
  }
  let isOurs = false
  let ran = false
  // Whatever comes, the machine is to end: no signal ends this process before it has.
  using interrupted = holdSignals()
  const start = async (shares?: readonly string[]): Promise<void> => {
    throwIfCancelled(interrupted.signal)
    globals.output.note(`starting machine ${name} for this container alone`)
    const daemonPort = daemonPortOf(link)
    const isolates = {
      ...{ image: imageWithoutSecret(boot.image), remove: boot.remove },
      ...(daemonPort === undefined ? {} : { daemonPort })
    }
    try {
      await startWatched(name, { ...boot.machine, shares, isolates }, globals)
      isOurs = ran = true
    } catch (error) {
      isOurs = !isContainerError(error, 'NAME_IN_USE')
      throw error
    }
  }
  const words = [...boot.verb.words, ...(boot.name === undefined ? [`--name=${name}`] : [])]
  try {
    const status = await runContainerVerb({
      ...boot.verb,
      ...{ words, start, home: globals.home, machine: name, signal: interrupted.signal }
    })
    const lives = status === 0 && boot.verb.detached === true && (await watchIsolated(home, name))
    if (lives) isOurs = false
    return status
  } finally {
    // What never came to be leaves nothing; what stays is in its machine.
    if (isOurs) {
      const isThere = boot.remove || !ran ? undefined : await isInMachine(home, name)
      await endIsolated(home, name, !boot.remove && (isThere ?? (ran || !isNew)))
    }
  }
}

function holdSignals(): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController()
  const onSignal = (): void => controller.abort(new ContainerError('CANCELLED', 'interrupted'))
  for (const signal of SIGNALS) process.on(signal, onSignal)
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const signal of SIGNALS) process.off(signal, onSignal)
    }
  }
}
