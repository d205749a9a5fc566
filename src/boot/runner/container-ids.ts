import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ContainerError } from '../../core/errors.ts'
import type { ContainerOptions } from '../state/boot-options.ts'
import type { ContainerClaim } from './container-claim.ts'
import { CONTAINER_CONFIG } from '../state/container-record.ts'
import { claimIdRange, RANGE_IDS } from '../ids/id-ranges.ts'
import { readJsonFile } from '../../core/json-file.ts'
import { hasOwnUserArguments } from '../nspawn/nspawn-plan.ts'
import type { BootPaths } from '../state/paths.ts'
import type { IdRange } from '../ids/user-namespace.ts'

/** Arguments of nspawn by which a container may leave files of its ids outside of its directory. */
const RAW_BIND = /^--(bind|overlay)/

/**
 * Assigns a range of this machine's user ids to a container. An existing container keeps the range that its files
 * belong to. The container's directory must exist.
 *
 * @returns undefined for a container that uses this machine's own ids
 * @throws ContainerError `NAME_IN_USE` when it exists and the options contradict that; what {@link claimIdRange}
 *   throws
 */
export async function claimIds(
  paths: BootPaths,
  { files, config }: ContainerClaim,
  options: ContainerOptions
): Promise<IdRange | undefined> {
  const wanted = wantedIds(options)
  if (config !== undefined) {
    const has = config.idRange ? 'auto' : 'no'
    if (wanted !== undefined && wanted !== has) throw ofOtherIds(files.name, has)
    if (has === 'no') return undefined
  } else if (wanted === 'no') return undefined
  return claimIdRange(
    { home: paths.home, name: files.name },
    {
      known: config === undefined ? await rangeOfFiles(files.upper) : (config.idRange ?? undefined),
      outside: (options.nspawnArgs ?? []).some((argument) => RAW_BIND.test(argument)),
      ofHome: () => rangesOfHome(paths)
    }
  )
}

/** The choice in the options; undefined if they leave it open. */
function wantedIds(options: ContainerOptions): 'auto' | 'no' | undefined {
  const { privateUsers, privileged = false, nspawnArgs = [] } = options
  if (privileged && privateUsers === 'auto') {
    throw new ContainerError('USAGE', '--privileged and user ids of its own exclude each other', {
      hint: 'leave out --private-users auto, or give single rights: --cap-add, --device'
    })
  }
  return privileged || hasOwnUserArguments(nspawnArgs) ? 'no' : privateUsers
}

function ofOtherIds(name: string, has: 'auto' | 'no'): ContainerError {
  const what = has === 'auto' ? 'ids of its own' : 'the ids of this machine'
  return new ContainerError('NAME_IN_USE', `container ${name} has ${what}, and so have its files`, {
    hint: `leave out --private-users and --privileged, or choose another name with -n`
  })
}

/** Finds the range that the files of a container without a record belong to. */
async function rangeOfFiles(upper: string): Promise<IdRange | undefined> {
  const uid = (await stat(upper).catch(() => undefined))?.uid ?? 0
  const base = uid - (uid % RANGE_IDS)
  return base === 0 ? undefined : { base, count: RANGE_IDS }
}

async function rangesOfHome(paths: BootPaths): Promise<number[]> {
  const names = await readdir(paths.containers)
  const configs = await Promise.all(
    names.map((name) =>
      readJsonFile(join(paths.containers, name, 'config.json'), CONTAINER_CONFIG.shape)
    )
  )
  return configs.flatMap((config) => (config?.idRange ? [config.idRange.base] : []))
}
