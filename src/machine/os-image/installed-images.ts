import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../../core/atomic-file.ts'
import { ContainerError } from '../../core/errors.ts'
import { readRecordSync } from '../../core/json-file.ts'
import type { MachineHome } from '../state/machine-paths.ts'
import { takeLock } from '../../core/host/kernel-lock.ts'
import * as v from 'valibot'
import { count, hex256, type RecordFormat, type Shape } from '../../core/record-format.ts'

const FORMAT_VERSION = 1
const RECORD = 'installed.json'
/** Folders that installing makes, whole ones and others. What is named otherwise is somebody else's. */
const FOLDER_PATTERN = /^[0-9a-f]{64}(\.partial)?$/
const LOCK_WAIT_MS = 500

/** A HyperOS that `machine upgrade` installed, all of it checked then. */
export interface InstalledImage {
  /** SHA-256 of its manifest, lower-case hexadecimal; its folder bears this name. */
  readonly digest: string
  /** Null where an old manifest does not tell. */
  readonly version: string | null
  /** ISO 8601, UTC. */
  readonly released: string | null
  readonly architecture: string | null
  /** The number of the minisign key that signed it, as minisign prints it; null where none was checked. */
  readonly signedBy: string | null
  /** ISO 8601, UTC. */
  readonly installedAt: string
  /** Key and version of the shared image that it came from. */
  readonly from: { readonly key: string; readonly version: number }
}

/** The record of installed images: `installed.json`, which is replaced in one step. */
export interface InstalledImages {
  readonly formatVersion: typeof FORMAT_VERSION
  readonly current?: InstalledImage
  /** The image that was current before, to which a rollback returns. */
  readonly previous?: InstalledImage
  /** The link that upgrades come from, with its secret and without a version. */
  readonly link?: string
  /** The base64 line of the minisign key that this home trusts. */
  readonly publicKey?: string
}

const installedImage: Shape<InstalledImage> = v.looseObject({
  digest: hex256,
  version: v.nullable(v.string()),
  released: v.nullable(v.string()),
  architecture: v.nullable(v.string()),
  signedBy: v.nullable(v.string()),
  installedAt: v.string(),
  from: v.looseObject({ key: v.string(), version: count })
})

const INSTALLED: RecordFormat<InstalledImages> = {
  field: 'formatVersion',
  version: FORMAT_VERSION,
  shape: v.looseObject({
    formatVersion: v.literal(FORMAT_VERSION),
    current: v.exactOptional(installedImage),
    previous: v.exactOptional(installedImage),
    link: v.exactOptional(v.string()),
    publicKey: v.exactOptional(v.string())
  })
}

/** Reads which HyperOS images are installed in a home. @throws ContainerError `IO`, `UNSUPPORTED_VERSION` */
export function readInstalled(homeImage: string): InstalledImages {
  const path = join(homeImage, RECORD)
  const found = readRecordSync(path, INSTALLED)
  if (found.kind === 'record') return found.record
  if (found.kind === 'absent') return { formatVersion: FORMAT_VERSION }
  if (found.kind === 'damaged') throw unreadable(path, `it ${found.why}`, found.cause)
  throw new ContainerError('UNSUPPORTED_VERSION', `${path} was written by a later release`, {
    hint: 'use that release, or move the file away and install HyperOS again'
  })
}

function unreadable(path: string, why: string, cause: unknown): ContainerError {
  return new ContainerError('IO', `${path} cannot be read (${why})`, {
    hint: 'move it away, and install HyperOS again: dat-container machine upgrade LINK',
    cause
  })
}

/**
 * Finds the folder of the current HyperOS.
 *
 * @returns undefined when none is installed
 * @throws ContainerError `IO`
 */
export function currentFolder(homeImage: string): string | undefined {
  const { current } = readInstalled(homeImage)
  return current === undefined ? undefined : installedFolder(homeImage, current.digest)
}

/** Names the folder of an installed image by its digest. */
export function installedFolder(homeImage: string, digest: string): string {
  return join(homeImage, digest)
}

/**
 * Runs `change` with an editor of a home's installed images; one process at a time may do so.
 *
 * @throws ContainerError `BUSY`
 */
export async function changeInstalled<T>(
  home: MachineHome,
  change: (editor: InstalledEditor) => Promise<T>
): Promise<T> {
  await mkdir(home.image, { recursive: true, mode: 0o700 })
  const lock = await takeLock(join(home.locks, 'os-image'), {
    waitMs: LOCK_WAIT_MS,
    keepFile: true
  })
  if (lock === undefined) {
    throw new ContainerError('BUSY', 'another process is installing HyperOS', {
      hint: 'wait until it is done; dat-container machine images shows what there is'
    })
  }
  try {
    return await change(new InstalledEditor(home.image))
  } finally {
    await lock[Symbol.asyncDispose]()
  }
}

/** Changes what is installed. Made by {@link changeInstalled} alone, which has the lock. */
export class InstalledEditor {
  readonly #folder: string
  #known: InstalledImages

  constructor(folder: string) {
    this.#folder = folder
    this.#known = readInstalled(folder)
  }

  get known(): InstalledImages {
    return this.#known
  }

  /** The folder for the image with this digest. */
  folder(digest: string): string {
    return installedFolder(this.#folder, digest)
  }

  /** Says in one step what is installed, once all folders are on the disk. */
  async write(change: Partial<InstalledImages>): Promise<void> {
    await syncFolder(this.#folder)
    const next = { ...this.#known, ...change }
    const text = `${JSON.stringify(next, undefined, 2)}\n`
    await writeFileAtomically(join(this.#folder, RECORD), text)
    await syncFolder(this.#folder)
    this.#known = next
  }

  /** Removes what a killed upgrade left, and images that are neither current nor the one before. */
  async prune(): Promise<void> {
    const { current, previous } = this.#known
    const kept = new Set([current?.digest, previous?.digest])
    for (const name of await readdir(this.#folder)) {
      if (!FOLDER_PATTERN.test(name) || kept.has(name)) continue
      await rm(join(this.#folder, name), { recursive: true, force: true })
    }
  }
}

/** Makes names in a folder outlive a power failure. */
async function syncFolder(path: string): Promise<void> {
  // Windows opens no folders; its file systems keep their order by themselves.
  if (process.platform === 'win32') return
  await using folder = await open(path, 'r')
  await folder.sync()
}
