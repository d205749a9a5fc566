import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../image/atomic-file.ts'
import { isContainerError, systemErrorCode } from '../image/errors.ts'
import type { Manifest } from '../image/manifest.ts'
import {
  decodePublishCache,
  encodePublishCache,
  MAX_PUBLISH_CACHE_BYTES
} from '../image/publish-cache.ts'
import { recordFiles, type DirectoryScan, type FileRecords } from '../image/unchanged-files.ts'
import type { HomePaths } from './home.ts'

/**
 * What was recorded of the files of `manifest`'s version when it was published from the scanned
 * directory.
 *
 * @param key of the drive
 * @returns undefined where it was published from elsewhere, or nothing usable is recorded
 */
export async function readPublishCache(
  paths: HomePaths,
  key: string,
  manifest: Manifest,
  scan: DirectoryScan
): Promise<FileRecords | undefined> {
  const file = await readWhole(join(paths.publishCache, key))
  const cache = file && decodePublishCache(file)
  const fits =
    cache?.version === manifest.version &&
    cache.indexDigest === manifest.index.digest &&
    cache.device === scan.device &&
    Buffer.compare(cache.root, scan.root) === 0
  return fits ? cache.records : undefined
}

/** Records a publish. Where that fails, the next one reads every file. */
export async function writePublishCache(
  paths: HomePaths,
  key: string,
  manifest: Manifest,
  scan: DirectoryScan
): Promise<void> {
  const { root, device } = scan
  const { version, index } = manifest
  const records = recordFiles(scan)
  try {
    await mkdir(paths.publishCache, { recursive: true, mode: 0o700 })
    await writeFileAtomically(
      join(paths.publishCache, key),
      encodePublishCache({ root, device, version, indexDigest: index.digest, records })
    )
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
