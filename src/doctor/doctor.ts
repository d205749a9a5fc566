import type { Check } from './doctor-check.ts'
import {
  checkFuse,
  checkKernelFilesystems,
  checkOverlay,
  checkRoot,
  checkSpace,
  checkZstd
} from './doctor-storage.ts'
import { checkNetwork } from './doctor-network.ts'
import {
  checkCgroups,
  checkInit,
  checkKvm,
  checkNetworkNamespaces,
  checkNspawn,
  checkQemu,
  checkTools
} from './doctor-host.ts'

export type { Check } from './doctor-check.ts'

/**
 * Looks at what this machine has for sharing and running containers, by trying things where a look
 * would not tell. Changes nothing; takes about a second, up to six when KVM hangs.
 *
 * @param options.home whose disk space counts
 */
export async function examine(options: { home: string }): Promise<Check[]> {
  // Elsewhere containers run in machines, and what they take is in those.
  if (process.platform !== 'linux') {
    return Promise.all([
      checkQemu(),
      checkZstd(),
      checkSpace(options.home),
      checkNetwork(options.home)
    ])
  }
  const [containers, ...others] = await Promise.all([
    examineForContainers(),
    checkInit(),
    checkQemu(),
    checkKvm(),
    checkZstd(),
    checkSpace(options.home),
    checkNetwork(options.home)
  ])
  return [...containers, ...others]
}

/** The part of {@link examine} that containers of this machine itself take. */
export async function examineForContainers(): Promise<Check[]> {
  const checks: (() => Promise<Check>)[] = [
    checkRoot,
    checkFuse,
    checkKernelFilesystems,
    checkOverlay,
    checkNspawn,
    checkTools,
    checkCgroups,
    checkNetworkNamespaces
  ]
  return Promise.all(checks.map((check) => check()))
}
