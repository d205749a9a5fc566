import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { asBuffer } from './as-buffer.ts'
import { ColumnTree } from './column-tree.ts'
import { fromRecord } from './error-record.ts'
import { workerScript } from './worker-script.ts'
import type { DecodeMessage } from './decode-worker.ts'

/** A thread that decodes an index; started before there is one, as starting it takes a while. */
export class DecodeThread implements AsyncDisposable {
  readonly #worker = new Worker(workerScript('decode-worker', import.meta.url))
  readonly #message: Promise<unknown[]>

  constructor() {
    this.#message = once(this.#worker, 'message')
    // Whoever decodes is told.
    this.#message.catch(() => {})
  }

  /**
   * `decodeIndex`, beside what this thread does; once a thread.
   *
   * @throws ContainerError `BAD_INDEX`, `UNSUPPORTED_VERSION`
   */
  async decode(packed: Uint8Array): Promise<ColumnTree> {
    this.#worker.postMessage(packed)
    const [message] = (await this.#message) as [DecodeMessage]
    if ('error' in message) throw fromRecord(message.error)
    const { columns, derived } = message
    const { names, targets } = columns
    return new ColumnTree(
      { ...columns, names: asBuffer(names), targets: asBuffer(targets) },
      derived
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
  }
}
