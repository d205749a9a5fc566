import { on } from 'node:events'
import { Worker } from 'node:worker_threads'
import { ContainerError } from './errors.ts'
import { workerScript } from './worker-script.ts'
import type { ContentBatch } from './content-batch.ts'
import type { FileList } from './file-list.ts'
import type { ReadMessage } from './read-worker.ts'

/** A thread that reads and hashes files; started before there are any, as starting it takes a while. */
export class ReadThread implements AsyncDisposable {
  readonly #worker = new Worker(workerScript('read-worker'))
  #failure: Error | undefined

  constructor() {
    // Whoever reads is told.
    this.#worker.on('error', (error) => (this.#failure = error))
  }

  /**
   * Content of files in order of the list; once a thread.
   *
   * @throws ContainerError `SOURCE_CHANGED`, `IO`, `CANCELLED`
   */
  async *batches(files: FileList, signal?: AbortSignal): AsyncGenerator<ContentBatch, void> {
    if (this.#failure !== undefined) throw this.#failure
    this.#worker.postMessage(files)
    try {
      const options = signal === undefined ? {} : { signal }
      for await (const [message] of on(this.#worker, 'message', options)) {
        const received = message as ReadMessage
        if (received.kind === 'end') return
        if (received.kind === 'error') {
          const { code, message, hint } = received
          throw new ContainerError(code, message, hint === undefined ? {} : { hint })
        }
        yield received.batch
      }
    } catch (error) {
      if (!signal?.aborted) throw error
      throw new ContainerError('CANCELLED', 'cancelled', { cause: error })
    }
  }

  /** Gives a batch's buffer back. */
  recycle(buffer: ArrayBuffer): void {
    this.#worker.postMessage(buffer, [buffer])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
  }
}
