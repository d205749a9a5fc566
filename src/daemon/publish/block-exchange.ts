import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BATCH_BYTES, BATCH_CHUNKS } from '../../image/tree/content-batch.ts'
import { ContainerError } from '../../core/errors.ts'
import type { ExchangeLayout } from '../../image/chunk/block-sink.ts'
import { BLOCK_PADDING, paddedViews } from '../../p2p/block-padding.ts'
import { storeError } from '../../p2p/store-error.ts'

const PREFIX = 'publish-'
const SLOTS = 12

/**
 * A file through which a publisher hands blocks to the daemon. A socket would cut them into pieces and copy them
 * several times at both ends, which costs more than storing them.
 */
export class BlockExchangeFile implements AsyncDisposable {
  readonly layout: ExchangeLayout
  readonly #file: number
  /** The blocks last read from each slot; a slot is not filled again before they are stored. */
  readonly #buffers: Buffer[] = []

  private constructor(layout: ExchangeLayout, file: number) {
    this.layout = layout
    this.#file = file
  }

  /** @throws ContainerError `DISK_FULL`, `IO` */
  static create(directory: string): BlockExchangeFile {
    const layout = {
      path: join(directory, `${PREFIX}${randomBytes(8).toString('hex')}`),
      slots: SLOTS,
      slotBytes: BATCH_BYTES + BATCH_CHUNKS * BLOCK_PADDING,
      room: BLOCK_PADDING
    }
    try {
      const exchange = new BlockExchangeFile(layout, openSync(layout.path, 'wx+', 0o600))
      // A disk without room shall say so now, and not to a thread that compresses.
      const empty = Buffer.alloc(layout.slotBytes)
      for (let slot = 0; slot < SLOTS; slot++) {
        writeSync(exchange.#file, empty, 0, empty.length, slot * layout.slotBytes)
      }
      return exchange
    } catch (cause) {
      throw storeError(directory, cause)
    }
  }

  /** Removes what daemons that died have left. */
  static async sweep(directory: string): Promise<void> {
    for (const name of await readdir(directory)) {
      if (name.startsWith(PREFIX)) await rm(join(directory, name), { force: true })
    }
  }

  /**
   * @param lengths of the slot's blocks, without their room
   * @returns the blocks with their room; views of a buffer that the next read of the slot overwrites
   * @throws ContainerError `USAGE` when they do not fit, `IO`
   */
  read(slot: number, lengths: readonly number[]): Buffer[] {
    const { slots, slotBytes, room, path } = this.layout
    const total = lengths.reduce((sum, length) => sum + room + length, 0)
    const isSound =
      Number.isInteger(slot) &&
      slot >= 0 &&
      slot < slots &&
      total <= slotBytes &&
      lengths.every((length) => Number.isInteger(length) && length > 0)
    if (!isSound) throw new ContainerError('USAGE', 'these blocks do not fit into a slot')
    const buffer = (this.#buffers[slot] ??= Buffer.allocUnsafeSlow(slotBytes))
    let done = 0
    while (done < total) {
      const bytes = readSync(this.#file, buffer, done, total - done, slot * slotBytes + done)
      if (bytes === 0) throw new ContainerError('IO', `${path} was cut short`)
      done += bytes
    }
    return paddedViews(buffer, lengths)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeSync(this.#file)
    await rm(this.layout.path, { force: true })
  }
}
