import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../../core/errors.ts'
import { storeError } from '../store-error.ts'

/** Where hypercore-storage has RocksDB keep its files. */
export const DATABASE = 'db'
const WRITE_AHEAD_LOG = /^\d+\.log$/

/**
 * Has what was written to a store reach the disk. RocksDB hands each write to the kernel and leaves it there: a
 * process that is killed loses nothing, a power cut whatever the kernel had not written yet. Its binding has no
 * switch for synced writes, and a flush would make a table of every few blocks. What is not in a table yet, which
 * RocksDB syncs itself, is in write-ahead logs: those are synced here.
 */
export class StoreSync {
  readonly #storage: string
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  /** @param storage directory of the store */
  constructor(storage: string) {
    this.#storage = storage
  }

  /**
   * Returns when all that had been written before this call is on the disk.
   *
   * @throws ContainerError `DISK_FULL`, `IO`
   */
  sync(): Promise<void> {
    // One that has begun may have missed what was written since; those who ask meanwhile share the one after it.
    this.#next ??= this.#afterRunning()
    return this.#next
  }

  async #afterRunning(): Promise<void> {
    await this.#running?.catch(() => {})
    this.#running = this.#next
    this.#next = undefined
    try {
      await syncLogs(join(this.#storage, DATABASE))
    } catch (cause) {
      throw storeError(this.#storage, cause)
    }
  }
}

async function syncLogs(directory: string): Promise<void> {
  const logs = (await readdir(directory)).filter((name) => WRITE_AHEAD_LOG.test(name))
  // In the order in which they were written, as that is how they are read after a power cut.
  logs.sort((one, other) => Number.parseInt(one, 10) - Number.parseInt(other, 10))
  for (const name of logs) await syncFile(join(directory, name))
  // A log may be new.
  await syncFile(directory)
}

async function syncFile(path: string): Promise<void> {
  let file
  try {
    file = await open(path)
  } catch (error) {
    // Its content is in a table now, which is synced.
    if (systemErrorCode(error) === 'ENOENT') return
    throw error
  }
  try {
    await file.datasync()
  } finally {
    await file.close()
  }
}
