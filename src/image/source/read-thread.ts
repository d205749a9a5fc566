import { on } from 'node:events'
import { Worker } from 'node:worker_threads'
import { throwIfCancelled } from '../../core/cancel.ts'
import { fromRecord } from '../../core/error-record.ts'
import { ContainerError } from '../../core/errors.ts'
import { workerScript } from '../../core/worker-script.ts'
import type { ContentBatch } from '../tree/content-batch.ts'
import type { FileList } from './file-list.ts'
import { END_OF_LISTS, type ReadMessage } from './read-messages.ts'

/** A thread that reads and hashes files; started before there are any, as starting it takes a while. */
export class ReadThread implements AsyncDisposable {
  readonly #worker = new Worker(workerScript('read-worker', import.meta.url))
  #failure: Error | undefined
  /** Settled when its modules are loaded, or never will be. */
  readonly #loaded = new Promise<void>((resolve) => {
    for (const event of ['message', 'error', 'exit']) this.#worker.once(event, () => resolve())
  })

  constructor() {
    // The reads report it.
    this.#worker.on('error', (error) => (this.#failure = error))
  }

  /**
   * Content of files in order of the lists, which are read as they come; once a thread.
   *
   * @throws ContainerError `SOURCE_CHANGED`, `IO`, `CANCELLED`, and what `lists` throws
   */
  async *batches(
    lists: AsyncIterable<FileList>,
    signal?: AbortSignal
  ): AsyncGenerator<ContentBatch, void> {
    if (this.#failure !== undefined) throw this.#failure
    throwIfCancelled(signal)
    const feeding = new AbortController()
    const { signal: fed } = feeding
    const messages = on(this.#worker, 'message', {
      signal: signal ? AbortSignal.any([signal, fed]) : fed
    })
    const ended = this.#feed(lists, feeding)
    try {
      for await (const [message] of messages) {
        const received = message as ReadMessage
        if (received.kind === 'ready') continue
        if (received.kind === 'end') return
        if (received.kind === 'error') throw fromRecord(received.error)
        yield received.batch
      }
    } catch (error) {
      if (fed.aborted) throw fed.reason
      if (!signal?.aborted) throw error
      throw new ContainerError('CANCELLED', 'cancelled', { cause: error })
    } finally {
      feeding.abort()
      await ended
    }
  }

  /** Until the lists end, or `feeding` is aborted; aborts it with what is wrong with the lists. */
  async #feed(lists: AsyncIterable<FileList>, feeding: AbortController): Promise<void> {
    try {
      for await (const files of lists) {
        if (feeding.signal.aborted) return
        this.#worker.postMessage(files)
      }
      this.#worker.postMessage(END_OF_LISTS)
    } catch (error) {
      feeding.abort(error)
    }
  }

  /** Gives a batch's buffer back. */
  recycle(buffer: ArrayBuffer): void {
    this.#worker.postMessage(buffer, [buffer])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A thread that is ended while it loads a native module ends the process (Node.js 24).
    await this.#loaded
    await this.#worker.terminate()
  }
}
