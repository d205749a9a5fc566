import { discoveryKey } from 'hypercore-crypto'
import type HypercoreStorage from 'hypercore-storage'
import type { LogStorage } from 'hypercore-storage'
import Hyperdrive from 'hyperdrive'
import { rootsOf } from './salvage.ts'

/**
 * Whether a store gives what a drive's two logs cannot be opened without: who signs them, where they end, and the roots of
 * their trees. A log that the store does not have is fine.
 *
 * @param key of the drive
 */
export async function haveHeads(storage: HypercoreStorage, key: Buffer): Promise<boolean> {
  try {
    if (!(await hasHead(storage, key))) return false
    const contentKey = await contentKeyOf(storage, key)
    return contentKey === undefined || (await hasHead(storage, contentKey))
  } catch {
    return false
  }
}

/** Key of the log of a drive's content; undefined where the store does not tell, or does not read back. */
export async function contentKeyOf(
  storage: HypercoreStorage,
  key: Buffer
): Promise<Buffer | undefined> {
  try {
    return await withLog(storage, key, async (log) => {
      const read = log.read()
      const reading = read.getAuth()
      read.tryFlush()
      const auth = await reading
      return (auth?.manifest && Hyperdrive.getContentKey(auth.manifest, key)) ?? undefined
    })
  } catch {
    return undefined
  }
}

async function hasHead(storage: HypercoreStorage, key: Buffer): Promise<boolean> {
  const found = await withLog(storage, key, async (log) => {
    const read = log.read()
    const [auth, head] = [read.getAuth(), read.getHead()]
    read.tryFlush()
    await auth
    const length = (await head)?.length ?? 0
    const nodes = log.read()
    const roots = rootsOf(length).map((index) => nodes.getTreeNode(index))
    nodes.tryFlush()
    return (await Promise.all(roots)).every((root) => root !== null)
  })
  return found ?? true
}

/** Undefined where the store does not have the log. */
async function withLog<T>(
  storage: HypercoreStorage,
  key: Buffer,
  use: (log: LogStorage) => Promise<T>
): Promise<T | undefined> {
  const log = await storage.resumeCore(discoveryKey(key))
  if (!log) return undefined
  try {
    return await use(log)
  } finally {
    await log.close()
  }
}
