import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writeFileAtomically } from '../core/atomic-file.ts'
import { MAX_PROFILE_CHUNKS } from '../image/format/boot-profile.ts'
import { ContainerError, systemErrorCode } from '../core/errors.ts'
import type { StartCommand } from '../image/format/manifest.ts'
import type { PlacedProfile } from '../image/format/profile-places.ts'
import type { HomePaths } from './home.ts'
import * as v from 'valibot'
import { readRecord } from '../core/json-file.ts'
import { count, type RecordFormat } from '../core/record-format.ts'

/** A profile that this home recorded of its own runs. */
export interface LocalProfile extends PlacedProfile {
  /** Version of the image that was run. */
  readonly version: number
}

interface ProfileFile {
  readonly format: typeof FORMAT
  readonly version: number
  readonly ready: number
  /** Path, a character a byte; position and count in chunks. */
  readonly places: readonly (readonly [string, number, number])[]
}

const FORMAT = 1

const PROFILE: RecordFormat<ProfileFile> = {
  field: 'format',
  version: FORMAT,
  shape: v.looseObject({
    format: v.literal(FORMAT),
    version: count,
    ready: count,
    places: v.pipe(v.array(v.tuple([v.string(), count, count])), v.maxLength(MAX_PROFILE_CHUNKS))
  })
}

const MAX_FILE_BYTES = 32 * 1024 * 1024

/** Directory of what was recorded of one image. */
export function localProfiles(paths: HomePaths, key: string): string {
  return join(paths.home, 'profiles', key)
}

/**
 * What this home recorded of running `start` of an image.
 *
 * @param key z32 key of the image's drive
 * @returns undefined where there is nothing usable
 */
export async function readLocalProfile(
  paths: HomePaths,
  key: string,
  start: StartCommand
): Promise<LocalProfile | undefined> {
  const found = await readRecord(profilePath(paths, key, start), PROFILE, MAX_FILE_BYTES)
  if (found.kind !== 'record') return undefined
  const { version, ready, places } = found.record
  return {
    version,
    ready,
    places: places.map(([path, position, count]) => ({
      path: Buffer.from(path, 'latin1'),
      position,
      count
    }))
  }
}

/**
 * Keeps a profile in place of what was recorded of that start before.
 *
 * @throws ContainerError `DISK_FULL`, `IO`; nothing has changed then
 */
export async function writeLocalProfile(
  paths: HomePaths,
  key: string,
  start: StartCommand,
  { version, ready, places }: LocalProfile
): Promise<void> {
  const content: ProfileFile = {
    format: FORMAT,
    version,
    ready,
    places: places.map(({ path, position, count }) => [
      Buffer.from(path).toString('latin1'),
      position,
      count
    ])
  }
  // Not the home itself, which somebody may have removed while the image was mounted.
  await makeDirectory(dirname(localProfiles(paths, key)))
  await makeDirectory(localProfiles(paths, key))
  await writeFileAtomically(profilePath(paths, key, start), JSON.stringify(content))
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (cause) {
    const code = systemErrorCode(cause)
    if (code !== 'EEXIST') throw new ContainerError('IO', `cannot make ${path}: ${code}`, { cause })
  }
}

/** One file for each thing that is run: another command reads other files. */
function profilePath(paths: HomePaths, key: string, { mode, argv = [] }: StartCommand): string {
  const run = mode === 'boot' ? [mode] : [mode, ...argv]
  const id = createHash('sha256').update(JSON.stringify(run)).digest('hex').slice(0, 16)
  return join(localProfiles(paths, key), `${id}.json`)
}
