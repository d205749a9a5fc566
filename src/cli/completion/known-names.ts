import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isContainerError, systemErrorCode } from '../../core/errors.ts'
import { isolatedAmong } from '../isolate/isolated-verbs.ts'

export const NAME_KINDS = ['images', 'containers', 'machines', 'channels'] as const

export type NameKind = (typeof NAME_KINDS)[number]

/** The publisher chose the name of an image, so names with characters that a shell interprets are not completed. */
const PLAIN_NAME = /^[A-Za-z0-9][A-Za-z0-9._@+/-]*$/

/**
 * Names that a home knows, to complete what is typed. Asks no daemon, starts and makes nothing; what cannot be read has
 * no names.
 */
export async function knownNames(kind: NameKind, home: string): Promise<string[]> {
  if (!existsSync(home)) return []
  try {
    const names = await NAMES[kind](home)
    return [...new Set(names)].filter((name) => PLAIN_NAME.test(name)).sort()
  } catch (error) {
    if (isContainerError(error) || systemErrorCode(error) !== undefined) return []
    throw error
  }
}

const NAMES: Readonly<Record<NameKind, (home: string) => Promise<string[]>>> = {
  async images(home) {
    const { ImageCatalog } = await import('../../daemon/catalog/image-catalog.ts')
    const catalog = await ImageCatalog.load(join(home, 'images.json'))
    return catalog
      .list()
      .flatMap(({ name, publishing, temporary }) =>
        publishing || temporary === true ? [] : [name]
      )
  },
  async containers(home) {
    const { containerNames } = await import('../../boot/state/container-record.ts')
    const { bootPaths } = await import('../../boot/state/paths.ts')
    const here = await containerNames(bootPaths(home))
    return [...here, ...(await isolatedAmong(await machineNames(home), home))]
  },
  machines: machineNames,
  async channels(home) {
    const { ChannelCatalog } = await import('../../daemon/catalog/channel-catalog.ts')
    const catalog = await ChannelCatalog.load(join(home, 'channels.json'))
    return catalog.list().map(({ name }) => name)
  }
}

async function machineNames(home: string): Promise<string[]> {
  const places = join(home, 'machines')
  return existsSync(places) ? readdir(places) : []
}
