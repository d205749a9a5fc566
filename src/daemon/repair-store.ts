import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import HypercoreStorage from 'hypercore-storage'
import { syncDirectory } from '../core/atomic-file.ts'
import { formatKey } from '../p2p/link.ts'
import { contentKeyOf, haveHeads } from '../p2p/store/log-heads.ts'
import { salvageLog, type Salvaged } from '../p2p/store/salvage.ts'
import { StoreSync } from '../p2p/store/store-sync.ts'
import type { HomePaths } from '../home/home.ts'
import { ChannelCatalog } from './catalog/channel-catalog.ts'
import { ImageCatalog, type CatalogEntry } from './catalog/image-catalog.ts'
import type { ImageRole } from '../rpc/protocol.ts'
import { StoreRecord } from './catalog/store-record.ts'

/** Tables of a damaged store are opened when something in them is read, and not all at first. */
const FEW_FILES = 32

export interface SalvagedImage {
  readonly key: string
  readonly name: string
  readonly role: ImageRole
  /** Blocks that the store held of it; null where that cannot be read either, and nothing is left. */
  readonly held: number | null
  /** How many of them are whole. */
  readonly whole: number
}

export interface StoreRepair {
  /** Whether anything is wrong. */
  readonly damaged: boolean
  /** Why the store does not open; null where it does. */
  readonly openError: string | null
  /** The folder of the damaged store; null if nothing was done. */
  readonly setAside: string | null
  /** Whether this home may go on publishing versions of its own images. */
  readonly ownsKeys: boolean
  readonly images: readonly SalvagedImage[]
}

/**
 * Makes a new store from what can be read of a damaged one, which is renamed and kept. Peers provide what is
 * missing. Unless this is a dry run, the caller holds the daemon's lock.
 *
 * @param options.dryRun only report what would be done
 * @throws ContainerError `IO`, `DISK_FULL`
 */
export async function repairStore(
  paths: HomePaths,
  { dryRun }: { readonly dryRun: boolean }
): Promise<StoreRepair> {
  const made = `${paths.store}.new`
  if (!dryRun) await finishInterrupted(paths.store, made)
  const catalog = await ImageCatalog.load(paths.catalog)
  const record = await StoreRecord.read(paths)
  const { from, openError } = await openDamaged(paths.store)
  try {
    const looked = await salvageAll(from, undefined, catalog.list(), openError === null)
    const seed = record.seed ?? (await from?.getSeed().catch(() => null)) ?? undefined
    const damaged = openError !== null || looked.some(({ held, whole }) => held !== whole)
    const found = { damaged, openError, ownsKeys: seed !== undefined, images: looked }
    if (!damaged || dryRun) return { ...found, setAside: null }

    await mkdir(made, { mode: 0o700 })
    const to = new HypercoreStorage(made, { allowBackup: true })
    await to.ready()
    if (seed) await to.setSeed(seed)
    const images = await salvageAll(from, to, catalog.list(), openError === null)
    // Their entries, without which they could not be published again.
    for (const key of catalog.allGivenUp()) {
      if (from) await salvageLog(from, to, Buffer.from(key, 'hex'))
    }
    for (const { key } of (await ChannelCatalog.load(paths.channels)).list()) {
      if (from) await salvageLog(from, to, Buffer.from(key, 'hex'))
    }
    await new StoreSync(made).sync()
    await to.close()
    await from?.close()
    const setAside = `${paths.store}.damaged-${new Date().toISOString().replace(/[:.]/g, '-')}`
    await rename(paths.store, setAside)
    await rename(made, paths.store)
    await syncDirectory(paths.home)
    return { ...found, images, setAside }
  } finally {
    await from?.close()
  }
}

/** Completes a repair that was killed between its two renames; starts any other again. */
async function finishInterrupted(store: string, made: string): Promise<void> {
  if (!existsSync(made)) return
  if (existsSync(store)) await rm(made, { recursive: true })
  else await rename(made, store)
}

async function openDamaged(
  store: string
): Promise<{ from: HypercoreStorage | undefined; openError: string | null }> {
  const options = { allowBackup: true, wait: false, readOnly: true }
  let reason: string | null = null
  // First as the daemon opens it, then in ways that need fewer intact files.
  for (const more of [{}, { maxOpenFiles: FEW_FILES }]) {
    const storage = new HypercoreStorage(store, { ...options, ...more })
    try {
      await storage.ready()
      return { from: storage, openError: reason }
    } catch (error) {
      reason ??= error instanceof Error ? error.message : String(error)
      await storage.close().catch(() => {})
    }
  }
  return { from: undefined, openError: reason }
}

/** @param isSound whether the store opens: what it does not have then was never there, and is no damage */
async function salvageAll(
  from: HypercoreStorage | undefined,
  to: HypercoreStorage | undefined,
  entries: readonly CatalogEntry[],
  isSound: boolean
): Promise<SalvagedImage[]> {
  const images: SalvagedImage[] = []
  for (const { key: hex, name, role } of entries) {
    const key = Buffer.from(hex, 'hex')
    const logs: (Salvaged | undefined)[] = []
    if (from) {
      const contentKey = await contentKeyOf(from, key)
      for (const log of contentKey ? [key, contentKey] : [key]) {
        logs.push(await salvageLog(from, to, log))
      }
      // The content is known by what the entries' log says of itself.
      if (!contentKey) logs.push(undefined)
    }
    const read = logs.filter((log) => log !== undefined)
    const isLost = read.length < 2 && !(from && isSound && (await haveHeads(from, key)))
    const sum = (of: 'held' | 'whole'): number => read.reduce((all, log) => all + log[of], 0)
    images.push({
      key: formatKey(key),
      name,
      role,
      held: isLost ? null : sum('held'),
      whole: sum('whole')
    })
  }
  return images
}
