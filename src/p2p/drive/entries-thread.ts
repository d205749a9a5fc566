import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { asBuffer } from '../../core/as-buffer.ts'
import { throwIfCancelled } from '../../core/cancel.ts'
import { fromRecord } from '../../core/error-record.ts'
import { workerScript } from '../../core/worker-script.ts'
import { paddedViews } from '../block-padding.ts'
import type { EntryChange } from './drive-entries.ts'
import type { EntriesMessage, EntriesRequest } from './entries-worker.ts'

/** A thread that makes the entries of a drive's first version; started before there are any, as that takes a while. */
export class EntriesThread implements AsyncDisposable {
  readonly #worker = new Worker(workerScript('entries-worker', import.meta.url))
  #failure: Error | undefined

  constructor() {
    // The next request fails with it.
    this.#worker.on('error', (error) => (this.#failure = error))
  }

  /**
   * Checks an index as a reader would; the first thing to be done, and once.
   *
   * @param packed its memory is the thread's from now on
   * @throws ContainerError `BAD_INDEX`, `UNSUPPORTED_VERSION`, `CANCELLED`
   */
  async check(packed: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<void> {
    await this.#next(packed, signal)
  }

  /**
   * Blocks of a Hyperbee with the entries of the index that was checked, in groups that are to be appended in
   * order behind the first manifest's entry; once. While one is appended, the next is made.
   *
   * @returns entries that are still to be put
   * @throws ContainerError `CANCELLED`
   */
  async *groups(signal: AbortSignal): AsyncGenerator<Buffer[], readonly EntryChange[]> {
    for (let next = this.#next(null, signal); ;) {
      const received = await next
      if (received.kind === 'end') return received.left
      if (received.kind !== 'group') throw new TypeError('a thread told of no group')
      next = this.#next(null, signal)
      // Awaited in the next round, unless nobody wants it.
      next.catch(() => {})
      yield paddedViews(asBuffer(received.bytes), received.lengths)
    }
  }

  /** Asks for the next message, and waits for it. */
  async #next(
    request: Uint8Array<ArrayBuffer> | null,
    signal: AbortSignal
  ): Promise<Exclude<EntriesMessage, { kind: 'error' }>> {
    if (this.#failure !== undefined) throw this.#failure
    throwIfCancelled(signal)
    try {
      const answer = once(this.#worker, 'message', { signal })
      this.#worker.postMessage(request satisfies EntriesRequest, request ? [request.buffer] : [])
      const [message] = (await answer) as [EntriesMessage]
      if (message.kind === 'error') throw fromRecord(message.error)
      return message
    } catch (error) {
      throwIfCancelled(signal)
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
  }
}
