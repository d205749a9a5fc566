import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { workerScript } from '../../core/worker-script.ts'
import type { ExchangeLayout } from './block-sink.ts'
import type { CompressRequest, CompressedBatch } from './compress-worker.ts'

const MAX_THREADS = 8
/** Tasks of a thread for which starting another pays. */
const MOST_WAITING = 3

interface Task {
  readonly resolve: (batch: CompressedBatch) => void
  readonly reject: (error: unknown) => void
}

/** One thread and what it has been given, oldest first. */
interface Thread {
  readonly worker: Worker
  readonly tasks: Task[]
}

/** Threads that compress chunks; zstd-napi has no calls that leave the caller's thread. */
export class ChunkCompressors implements AsyncDisposable {
  readonly threads: number
  readonly #threads: Thread[] = []
  #exchange: ExchangeLayout | undefined
  #failure: unknown

  /**
   * @param threads @default one a processor, at most 8
   * @param started those that are started now; the others are when these have too much to do
   */
  constructor(threads = Math.min(MAX_THREADS, availableParallelism()), started = threads) {
    this.threads = threads
    while (this.#threads.length < Math.min(started, threads)) this.#start()
  }

  /** Requests may name slots of this exchange from now on. */
  useExchange(layout: ExchangeLayout): void {
    this.#exchange = layout
    for (const { worker } of this.#threads) worker.postMessage(layout)
  }

  /** Takes `request.bytes`' buffer for good; the batch that comes back holds it. */
  async compress(request: CompressRequest): Promise<CompressedBatch> {
    if (this.#failure !== undefined) throw this.#failure
    const idlest = this.#threads.reduce((a, b) => (b.tasks.length < a.tasks.length ? b : a))
    const isTooMuch = idlest.tasks.length >= MOST_WAITING && this.#threads.length < this.threads
    const thread = isTooMuch ? this.#start() : idlest
    return await new Promise((resolve, reject) => {
      thread.tasks.push({ resolve, reject })
      thread.worker.postMessage(request, [request.bytes.buffer as ArrayBuffer])
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#fail(new ContainerError('CANCELLED', 'compression was stopped'))
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()))
  }

  #start(): Thread {
    const thread: Thread = {
      worker: new Worker(workerScript('compress-worker', import.meta.url)),
      tasks: []
    }
    thread.worker.on('message', (batch: CompressedBatch) => thread.tasks.shift()!.resolve(batch))
    thread.worker.on('error', (error) => this.#fail(this.#explained(error)))
    if (this.#exchange) thread.worker.postMessage(this.#exchange)
    this.#threads.push(thread)
    return thread
  }

  /** Compressing does not fail; writing to the exchange may. */
  #explained(cause: Error): Error {
    const code = systemErrorCode(cause)
    if (this.#exchange === undefined || code === undefined) return cause
    const text = `cannot write to ${this.#exchange.path}: ${code}`
    return new ContainerError(code === 'ENOSPC' ? 'DISK_FULL' : 'IO', text, { cause })
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    for (const { tasks } of this.#threads) {
      for (const { reject } of tasks.splice(0)) reject(error)
    }
  }
}
