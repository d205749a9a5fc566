import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../../core/atomic-file.ts'
import { isContainerError, systemErrorCode } from '../../core/errors.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import {
  decodePublishCache,
  encodePublishCache,
  MAX_PUBLISH_CACHE_BYTES,
  type PublishCache
} from '../../image/publish/publish-cache.ts'
import type { WrittenVersion } from '../../image/publish/write-version.ts'
import {
  recordFiles,
  type DirectoryScan,
  type ScannedDirectory
} from '../../image/source/unchanged-files.ts'
import type { HomePaths } from '../../home/home.ts'

/**
 * Reads what was kept when the version of `manifest` was published.
 *
 * @param key of the drive
 * @returns undefined when there is nothing usable
 */
export async function readPublishCache(
  paths: HomePaths,
  key: string,
  manifest: Manifest
): Promise<PublishCache | undefined> {
  const file = await readWhole(join(paths.publishCache, key))
  const cache = file && decodePublishCache(file)
  const fits = cache?.version === manifest.version && cache.indexDigest === manifest.index.digest
  return fits ? cache : undefined
}

/** Tells whether a version was published from this directory. */
export function isOf({ root, device }: PublishCache, directory: ScannedDirectory): boolean {
  return device === directory.device && Buffer.compare(root, directory.root) === 0
}

/** Writes what the next publish can use. If that fails, the next publish reads every file. */
export async function writePublishCache(
  paths: HomePaths,
  key: string,
  { manifest, tree }: Pick<WrittenVersion, 'manifest' | 'tree'>,
  scan: DirectoryScan
): Promise<void> {
  const { root, device } = scan
  const { version, index } = manifest
  const facts = { root, device, version, indexDigest: index.digest, records: recordFiles(scan) }
  const encoded = encodePublishCache({ ...facts, tree })
  try {
    await mkdir(paths.publishCache, { recursive: true, mode: 0o700 })
    await writeFileAtomically(join(paths.publishCache, key), encoded)
  } catch (error) {
    // The version is published; this is a convenience for the next.
    if (!isContainerError(error) && systemErrorCode(error) === undefined) throw error
  }
}

async function readWhole(path: string): Promise<Buffer | undefined> {
  try {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      return size <= MAX_PUBLISH_CACHE_BYTES ? await file.readFile() : undefined
    } finally {
      await file.close()
    }
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error
    return undefined
  }
}
