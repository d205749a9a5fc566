import { on } from 'node:events'
import { Worker } from 'node:worker_threads'
import { asBuffer } from '../image/as-buffer.ts'
import { throwIfCancelled } from '../image/cancel.ts'
import { fromRecord } from '../image/error-record.ts'
import { workerScript } from '../image/worker-script.ts'
import { roomyViews } from './block-room.ts'
import type { EntryChange } from './drive-entries.ts'
import type { EntriesMessage, EntriesRequest } from './entries-worker.ts'

/** A thread that makes the entries of a drive's first version; started before there are any, as that takes a while. */
export class EntriesThread implements AsyncDisposable {
  readonly #worker = new Worker(workerScript('entries-worker', import.meta.url))
  #failure: Error | undefined

  constructor() {
    // Whoever asks is told.
    this.#worker.on('error', (error) => (this.#failure = error))
  }

  /**
   * Blocks of a Hyperbee with an index's entries, in groups that are to be appended in order; once a
   * thread. While one is appended, the next is made.
   *
   * @param packed the index, whose memory is the thread's from now on
   * @param first where in the log the first block goes
   * @returns entries that are still to be put
   * @throws ContainerError `BAD_INDEX`, `UNSUPPORTED_VERSION`, `CANCELLED`
   */
  async *groups(
    packed: Uint8Array<ArrayBuffer>,
    first: number,
    signal: AbortSignal
  ): AsyncGenerator<Buffer[], readonly EntryChange[]> {
    if (this.#failure !== undefined) throw this.#failure
    throwIfCancelled(signal)
    const messages = on(this.#worker, 'message', { signal })
    this.#worker.postMessage({ packed, first } satisfies EntriesRequest, [packed.buffer])
    try {
      for await (const [message] of messages) {
        const received = message as EntriesMessage
        if (received.kind === 'error') throw fromRecord(received.error)
        if (received.kind === 'end') return received.left
        this.#worker.postMessage(null)
        yield roomyViews(asBuffer(received.bytes), received.lengths)
      }
    } catch (error) {
      throwIfCancelled(signal)
      throw error
    }
    throw new TypeError('a thread told of no end')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
  }
}
