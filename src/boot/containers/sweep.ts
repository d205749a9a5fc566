import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { basename } from 'node:path'
import { unmount } from '../../fuse/linux/bind-mount.ts'
import { readMountTable } from '../../fuse/linux/mount-table.ts'
import { unmountStale } from '../../fuse/linux/stale-mounts.ts'
import { killCgroups, ownCgroups, removeCgroups } from '../nspawn/cgroup.ts'
import { containerState } from '../state/container-record.ts'
import { takeLock } from '../../core/host/kernel-lock.ts'
import { readJsonFile } from '../../core/json-file.ts'
import { readKept } from '../state/kept-config.ts'
import { removeUnmounted, unmountAllUnder } from '../../fuse/linux/mount-cleanup.ts'
import { mounterState } from '../lease/mounter-protocol.ts'
import { clearMounterDirectory } from '../mounter/mounter.ts'
import { machineName } from '../nspawn/nspawn-plan.ts'
import { removePropagation } from '../nspawn/nspawn-process.ts'
import { bootPaths, containerPaths, mounterPathsOf, type BootPaths } from '../state/paths.ts'
import { identify, isAlive, signalProcess, waitForExit } from '../../core/host/process-table.ts'
import { removeTree } from '../root/remove-tree.ts'

/** The result of a sweep: what it found dead and removed. */
export interface SweepResult {
  readonly containers: readonly string[]
  readonly mounters: readonly string[]
  /** Remains that could not be removed, and why; the next sweep tries again. */
  readonly failed: readonly { readonly name: string; readonly error: unknown }[]
}

const EXIT_TIMEOUT_MS = 5000
const ATTEMPTS = 3
/** A killed process keeps its locks until the last of its threads has come out of the kernel. */
const DEAD_LOCK_WAIT_MS = 3000

/**
 * Cleans up after runners and mounters of a home that died: processes, mounts, loop devices, cgroups, runtime
 * directories. Those that live hold a lock and are left alone. A second call does nothing. If there is nothing to
 * clean up, it costs two directory listings.
 */
export async function sweep({ home }: { home: string }): Promise<SweepResult> {
  const paths = bootPaths(home)
  const failed: { name: string; error: unknown }[] = []
  const sweepAll = async (
    names: readonly string[],
    sweepOne: (paths: BootPaths, name: string) => Promise<boolean>
  ): Promise<string[]> => {
    const swept: string[] = []
    for (const name of names) {
      try {
        if (await sweepOne(paths, name)) swept.push(name)
      } catch (error) {
        // A failure must not prevent the rest, or the next boot.
        failed.push({ name, error })
      }
    }
    return swept
  }
  const containers = await sweepAll(await readdir(paths.running), sweepContainer)
  const mounters = await sweepAll(await readdir(paths.mounts), sweepMounter)
  return { containers, mounters, failed }
}

async function sweepContainer(paths: BootPaths, name: string): Promise<boolean> {
  const files = containerPaths(paths, name)
  const earlier = await readJsonFile(files.state, containerState)
  const died = earlier !== undefined && !isAlive(earlier.runner)
  await using lock = await takeLock(files.lock, { waitMs: died ? DEAD_LOCK_WAIT_MS : 0 })
  if (lock === undefined || !existsSync(files.runtime)) return false
  const state = await readJsonFile(files.state, containerState)
  const own = ownCgroups(paths.homeId, name)
  // A scope of systemd's carries our unit's name; anything else in the state is not ours to kill.
  const unit = `dat-container-${paths.homeId}-${name}.scope`
  const cgroups = [...own, ...(state?.cgroups ?? []).filter((path) => basename(path) === unit)]
  for (const identity of [state?.leader, state?.nspawn]) {
    signalProcess(identity, 'SIGKILL')
    await waitForExit(identity, EXIT_TIMEOUT_MS)
  }
  // Processes that the killed runner had just started may join the cgroups meanwhile.
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    await killCgroups(cgroups)
    await removeCgroups(own, { parents: 'own' })
    if (!own.some((directory) => existsSync(directory))) break
  }
  await unmountAllUnder(files.runtime)
  await removePropagation(machineName(name, paths.homeId))
  await rm(files.notifySocket, { force: true })
  const kept = await readKept(files)
  const isForgotten = kept.kind === 'config' && kept.config.ephemeral && !existsSync(files.upper)
  // Its files were in the tmpfs that is gone now, or it never got as far as having any. One whose
  // record cannot be read stays.
  if (kept.kind === 'none' || isForgotten) await removeTree(files.directory)
  // Last: a sweep that is killed before is done again for as long as this is there.
  await removeUnmounted(files.runtime)
  return true
}

async function sweepMounter(paths: BootPaths, name: string): Promise<boolean> {
  const files = mounterPathsOf(paths, name)
  const earlier = await readJsonFile(files.state, mounterState)
  const died = earlier !== undefined && !isAlive(identify(earlier.pid))
  await using lock = await takeLock(files.lock, { waitMs: died ? DEAD_LOCK_WAIT_MS : 0 })
  if (lock === undefined || !existsSync(files.directory)) return false
  const state = await readJsonFile(files.state, mounterState)
  for (const target of state?.binds ?? []) {
    const mounted = (await readMountTable()).findLast(({ mountPoint }) => mountPoint === target)
    if (mounted !== undefined && mounted.device === state?.device) {
      await unmount(target, { lazy: 'if-busy' })
    }
  }
  await unmountAllUnder(files.directory)
  await clearMounterDirectory(files, unmountStale)
  return true
}
