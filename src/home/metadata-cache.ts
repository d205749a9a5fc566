import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { planDataLayout } from '../fuse/content/data-layout.ts'
import { writeErofsImage } from '../fuse/erofs/erofs-image.ts'
import { isKeepable, keepMetadata, METADATA_FORMAT } from '../fuse/erofs/kept-metadata.ts'
import { ContainerError, isContainerError, systemErrorCode } from '../core/errors.ts'
import type { Manifest } from '../image/format/manifest.ts'
import type { Tree } from '../image/tree/tree.ts'
import type { HomePaths } from './home.ts'

/** A version whose metadata image can be made. */
interface OpenVersion {
  /** z32 key of the image's drive. */
  readonly key: string
  readonly manifest: Manifest
  readonly tree: Tree
}

/** How many versions of one image have theirs kept. */
const MOST_KEPT = 2

/** Directory of the metadata images of one image's versions; safe to delete. */
function metadataCache(paths: Pick<HomePaths, 'home'>, key: string): string {
  return join(paths.home, 'metadata', key)
}

/**
 * Where the metadata image of a version is kept. The name tells which index it was made of, and how:
 * what is found there is of this very tree.
 *
 * @param key z32 key of the image's drive
 */
export function metadataFile(
  paths: Pick<HomePaths, 'home'>,
  key: string,
  { version, index }: Pick<Manifest, 'version' | 'index'>
): string {
  const madeOf = [METADATA_FORMAT, index.digest, index.base?.digest ?? '']
  const id = createHash('sha256').update(madeOf.join(' ')).digest('hex').slice(0, 32)
  return join(metadataCache(paths, key), `${version}-${id}.erofs`)
}

/**
 * Keeps the metadata image that was made at `meta`, so that the next mount need not make it. The oldest
 * versions' go.
 *
 * @param kept of {@link metadataFile}
 * @throws ContainerError `DISK_FULL`, `IO`
 */
export async function cacheMetadata(meta: string, kept: string): Promise<void> {
  try {
    await makeDirectories(kept)
    await keepMetadata(meta, kept)
    await dropOldest(kept)
  } catch (cause) {
    const code = systemErrorCode(cause)
    if (code === undefined || cause instanceof ContainerError) throw cause
    throw new ContainerError('IO', `cannot write ${kept}: ${code}`, { cause })
  }
}

/**
 * Makes the metadata image of a version before anybody mounts it. That there is none costs the first
 * mount a moment, so what keeps it from being made is no error.
 */
export async function prepareMetadata(
  paths: Pick<HomePaths, 'home'>,
  { key, manifest, tree }: OpenVersion
): Promise<void> {
  const kept = metadataFile(paths, key, manifest)
  if (existsSync(kept) || !isKeepable(tree)) return
  const made = `${kept}.${process.pid}.made`
  try {
    await makeDirectories(kept)
    await writeErofsImage(tree, planDataLayout(tree), made)
    await cacheMetadata(made, kept)
  } catch (error) {
    if (!isContainerError(error) && systemErrorCode(error) === undefined) throw error
  } finally {
    await rm(made, { force: true })
  }
}

/**
 * Removes what is kept of an image.
 *
 * @param versions of these alone @default of all
 */
export async function dropMetadata(
  paths: Pick<HomePaths, 'home'>,
  key: string,
  versions?: readonly number[]
): Promise<void> {
  const directory = metadataCache(paths, key)
  if (versions === undefined) return rm(directory, { recursive: true, force: true })
  for (const name of await readdir(directory).catch(() => [])) {
    if (versions.includes(versionOf(name))) await rm(join(directory, name), { force: true })
  }
}

async function dropOldest(kept: string): Promise<void> {
  const directory = dirname(kept)
  const others = (await readdir(directory)).filter((name) => !name.startsWith(basename(kept)))
  others.sort((one, other) => versionOf(other) - versionOf(one))
  for (const name of others.slice(MOST_KEPT - 1)) {
    await rm(join(directory, name), { force: true })
  }
}

async function makeDirectories(kept: string): Promise<void> {
  const directory = dirname(kept)
  // Not the home itself, which somebody may have removed while the image was mounted.
  for (const path of [dirname(directory), directory]) await makeDirectory(path)
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error
  }
}

function versionOf(name: string): number {
  return Number.parseInt(name, 10) || 0
}
