import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncDirectory } from '../../core/atomic-file.ts'
import { existsSync } from 'node:fs'
import { ContainerError } from '../../core/errors.ts'
import { isKeyPrefix } from '../../p2p/key-prefix.ts'
import { ImageReference, parseFullLink } from '../../p2p/link.ts'
import type { ContainerOptions } from '../state/boot-options.ts'
import { readLiveState, type ContainerConfig } from '../state/container-record.ts'
import { takeLock, type KernelLock } from '../../core/host/kernel-lock.ts'
import { readKept } from '../state/kept-config.ts'
import type { MountFacts } from '../lease/mounter-protocol.ts'
import {
  containerPaths,
  generateName,
  type BootPaths,
  type ContainerPaths
} from '../state/paths.ts'

/** A sweep of another command may hold a dead container's lock for as long as it cleans up. */
const LOCK_WAIT_MS = 10_000
const SHORT_WAIT_MS = 200

/** A container's name, held by this process. */
export interface ContainerClaim {
  readonly files: ContainerPaths
  readonly lock: KernelLock
  /** Its record from earlier; undefined for a new container. */
  readonly config: ContainerConfig | undefined
  /** The error for a container that has files and no record: the user must give their image and version. */
  readonly orphaned?: ContainerError
}

/**
 * Takes the lock on a container's name for this process.
 *
 * @throws ContainerError `NAME_IN_USE` when it runs, `USAGE` for an invalid name, `IO` when its record cannot be
 *   read
 */
export async function claimName(paths: BootPaths, name: string): Promise<ContainerClaim> {
  const files = containerPaths(paths, name)
  let lock = await takeLock(files.lock, { waitMs: SHORT_WAIT_MS })
  if (lock === undefined && (await readLiveState(files)) === undefined) {
    lock = await takeLock(files.lock, { waitMs: LOCK_WAIT_MS })
  }
  if (lock === undefined) {
    throw new ContainerError('NAME_IN_USE', `container ${name} is already running`, {
      hint: `stop it first (dat-container stop ${name}), or choose another name with -n`
    })
  }
  const kept = await readKept(files)
  if (kept.kind !== 'damaged') {
    return { files, lock, config: kept.kind === 'config' ? kept.config : undefined }
  }
  if (!existsSync(files.config)) return { files, lock, config: undefined, orphaned: kept.error }
  await lock[Symbol.asyncDispose]()
  throw kept.error
}

/** Takes the lock on the first generated name that is free. */
export async function claimNewName(paths: BootPaths, imageName: string): Promise<ContainerClaim> {
  for (let ordinal = 1; ; ordinal++) {
    const files = containerPaths(paths, generateName(imageName, ordinal))
    if (existsSync(files.directory) || existsSync(files.runtime)) continue
    const lock = await takeLock(files.lock)
    if (lock === undefined) continue
    // It may have come and gone between our look and our lock.
    if (!existsSync(files.directory)) return { files, lock, config: undefined }
    await lock[Symbol.asyncDispose]()
  }
}

/**
 * Chooses the link to boot a claimed container from. A container with files of its own stays on the version that
 * they were written over.
 *
 * @throws ContainerError `NAME_IN_USE` when the container is of another image or version, `IO` when its version is
 *   not known
 */
export function linkFor(claim: ContainerClaim, options: ContainerOptions): ImageReference {
  const { config, files, orphaned } = claim
  if (orphaned && (options.ephemeral === true || options.link.version === undefined)) throw orphaned
  if (config === undefined) return options.link
  const hint = hintFor(files)
  if (options.ephemeral === true) {
    throw new ContainerError('NAME_IN_USE', `container ${files.name} exists and keeps its files`, {
      hint
    })
  }
  // The name of an image; that it is this one shows when it is open.
  const kept = parseFullLink(config.link)
  const asked = options.link.fullLink
  if (asked === undefined) {
    return isNameOf(options.link.toString(), config) ? ImageReference.to(kept) : options.link
  }
  if (!asked.key.equals(kept.key)) {
    throw new ContainerError('NAME_IN_USE', `container ${files.name} is of another image`, {
      hint
    })
  }
  if (asked.version !== undefined && asked.version !== kept.version) {
    throw new ContainerError(
      'NAME_IN_USE',
      `container ${files.name} is of version ${kept.version} of this image`,
      { hint }
    )
  }
  return ImageReference.to({ ...asked, version: kept.version })
}

function isNameOf(text: string, { image, key }: ContainerConfig): boolean {
  return text === image || (isKeyPrefix(text) && key.startsWith(text))
}

/**
 * Checks that the opened image is the one that the container was made from.
 *
 * @throws ContainerError `NAME_IN_USE`
 */
export function checkImage({ config, files }: ContainerClaim, opened: MountFacts): void {
  if (config === undefined) return
  if (config.key === opened.key && config.version === opened.version) return
  const other = config.key === opened.key ? `version ${config.version} of this` : 'another'
  throw new ContainerError('NAME_IN_USE', `container ${files.name} is of ${other} image`, {
    hint: hintFor(files)
  })
}

function hintFor({ name }: ContainerPaths): string {
  return `choose another name with -n, or remove it: dat-container rm ${name}`
}

/**
 * Makes the persistent and the runtime directory of a container. The runtime directory exists as long as there may
 * be something to clean up: it is how a sweep finds a start that was killed.
 */
export async function makeDirectories(files: ContainerPaths): Promise<void> {
  await mkdir(files.runtime, { recursive: true, mode: 0o700 })
  const first = await mkdir(files.directory, { recursive: true, mode: 0o700 })
  if (first !== undefined) await syncDirectory(dirname(files.directory))
}
