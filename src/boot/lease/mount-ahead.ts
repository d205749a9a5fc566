import { existsSync } from 'node:fs'
import type { ContainerOptions } from '../state/boot-options.ts'
import { bootPaths, containerPaths } from '../state/paths.ts'
import { StartingMounter, type StartMounterOptions } from './starting-mounter.ts'

/** Selects the options of a container that its mounter needs. */
export function mounterOptions(
  options: ContainerOptions,
  link = options.link,
  served: Pick<StartMounterOptions, 'idBase' | 'escaped'> = {}
): StartMounterOptions {
  const { home, mountMode, mounterScript, command, forceBoot } = options
  const { peerTimeoutMs, onPeerLoss, offline, lazyOnly, reuse, record } = options
  return {
    home,
    link,
    mode: mountMode ?? 'auto',
    run: command ?? (forceBoot === true ? 'boot' : 'image'),
    ...(mounterScript === undefined ? {} : { mounterScript }),
    ...(peerTimeoutMs === undefined ? {} : { peerTimeoutMs }),
    ...(onPeerLoss === undefined ? {} : { onPeerLoss }),
    ...(reuse === undefined ? {} : { reuse }),
    ...(offline === undefined ? {} : { offline }),
    ...(lazyOnly === undefined ? {} : { lazyOnly }),
    ...(record === undefined ? {} : { record: true }),
    ...served
  }
}

/**
 * Starts the mounter of a container before everything else, so that it loads and finds peers while the runner
 * loads. Does nothing where the mounter might not be needed: without a valid link, or for an existing container,
 * which may be of another version.
 */
export function startMounterAhead(options: ContainerOptions): StartingMounter | undefined {
  const { home, link, name } = options
  if (process.getuid?.() !== 0) return undefined
  try {
    if (link.fullLink === undefined) return undefined
    const paths = bootPaths(home)
    if (name !== undefined && existsSync(containerPaths(paths, name).directory)) return undefined
  } catch {
    // The runner says what is wrong.
    return undefined
  }
  return new StartingMounter(mounterOptions(options))
}
