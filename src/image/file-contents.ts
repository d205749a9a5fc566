import { on } from 'node:events'
import { Worker } from 'node:worker_threads'
import { ContainerError } from './errors.ts'
import { workerScript } from './worker-script.ts'
import type { ContentBatch, ContentSource } from './content-batch.ts'
import type { FileList } from './file-list.ts'
import type { ReadMessage } from './read-worker.ts'

/** Content of files on disk, read and hashed by a thread of its own. */
export class FileContents implements ContentSource {
  readonly #files: FileList
  #worker: Worker | undefined

  constructor(files: FileList) {
    this.#files = files
  }

  async *batches(signal?: AbortSignal): AsyncGenerator<ContentBatch, void, undefined> {
    const worker = new Worker(workerScript('read-worker'), { workerData: this.#files })
    this.#worker = worker
    try {
      for await (const [message] of on(worker, 'message', signal === undefined ? {} : { signal })) {
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
    } finally {
      this.#worker = undefined
      await worker.terminate()
    }
  }

  recycle(buffer: ArrayBuffer): void {
    this.#worker?.postMessage(buffer, [buffer])
  }
}
