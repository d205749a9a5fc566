import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { ContainerError, systemErrorCode } from '../core/errors.ts'
import { readJsonFile, readRecord } from '../core/json-file.ts'
import type { RecordFormat } from '../core/record-format.ts'
import type { HomePaths } from './home.ts'

interface UsedImage {
  /** z32 drive key. */
  readonly key: string
}

const usedImage = v.looseObject({ key: v.string() })
/** The part of a container's record that tells its image. */
const RECORD: RecordFormat<UsedImage> = { field: 'formatVersion', version: 1, shape: usedImage }

/**
 * Lists the drives, by key in z-base-32, that containers of a home, running or stopped, and its mounts use. It reads
 * their records itself, so that a daemon knows it without a client.
 *
 * @throws ContainerError `IO` when the image of a container cannot be told
 */
export async function imagesInUse({
  home,
  runtime
}: Pick<HomePaths, 'home' | 'runtime'>): Promise<Set<string>> {
  const kept = await Promise.all((await namesIn(join(home, 'containers'))).map(ofContainer))
  const running = [
    ...(await namesIn(join(runtime, 'containers'))),
    ...(await namesIn(join(runtime, 'mounts')))
  ].map((directory) => readJsonFile(join(directory, 'state.json'), usedImage))
  return new Set(
    [...kept, ...(await Promise.all(running))].flatMap((used) => (used ? [used.key] : []))
  )
}

async function ofContainer(directory: string): Promise<UsedImage | undefined> {
  const path = join(directory, 'config.json')
  const found = await readRecord(path, RECORD)
  if (found.kind === 'record') return found.record
  // One that is being made has its image open.
  if (found.kind === 'absent' && !existsSync(join(directory, 'upper'))) return undefined
  throw new ContainerError('IO', `cannot tell which image the container of ${path} needs`)
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).map((name) => join(directory, name))
  } catch (cause) {
    if (systemErrorCode(cause) === 'ENOENT') return []
    throw new ContainerError('IO', `cannot read ${directory}`, { cause })
  }
}
