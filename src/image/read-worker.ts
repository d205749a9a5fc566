/** The thread of {@link ReadThread}: reads and hashes files, and posts them as batches. */
import { parentPort } from 'node:worker_threads'
import { BATCH_BYTES } from './content-batch.ts'
import { ContainerError } from './errors.ts'
import { readFiles } from './source-reader.ts'
import type { ErrorCode } from './errors.ts'
import type { ContentBatch } from './content-batch.ts'
import type { FileList } from './file-list.ts'

export type ReadMessage =
  | { readonly kind: 'batch'; readonly batch: ContentBatch }
  | { readonly kind: 'end' }
  | {
      readonly kind: 'error'
      readonly code: ErrorCode
      readonly message: string
      readonly hint: string | undefined
    }

/** Batches posted and not given back; further reading waits. */
const MAX_OUTSTANDING = 8

const port = parentPort!
const free: ArrayBuffer[] = []
let outstanding = 0
let wake: (() => void) | undefined

port.on('message', (message: FileList | ArrayBuffer) => {
  if (!(message instanceof ArrayBuffer)) {
    void read(message)
    return
  }
  free.push(message)
  outstanding--
  wake?.()
})

const post = (message: ReadMessage, transfer: ArrayBuffer[] = []): void =>
  port.postMessage(message, transfer)

async function read(files: FileList): Promise<void> {
  try {
    const allocate = (): ArrayBuffer => free.pop() ?? new ArrayBuffer(BATCH_BYTES)
    for (const batch of readFiles(files, allocate)) {
      outstanding++
      post({ kind: 'batch', batch }, [batch.bytes.buffer as ArrayBuffer])
      if (outstanding >= MAX_OUTSTANDING) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        wake = undefined
      }
    }
    post({ kind: 'end' })
  } catch (error) {
    const known =
      error instanceof ContainerError ? error : new ContainerError('IO', (error as Error).message)
    post({ kind: 'error', code: known.code, message: known.message, hint: known.hint })
  }
}
