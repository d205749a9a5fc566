/** The thread of {@link ReadThread}: reads and hashes files, and posts them as batches. */
import { parentPort } from 'node:worker_threads'
import { BATCH_BYTES } from '../tree/content-batch.ts'
import { toRecord } from '../../core/error-record.ts'
import { systemCalls } from '../../core/host/system-calls.ts'
import { END_OF_LISTS, type ReadMessage } from './read-messages.ts'
import { SourceReader } from './source-reader.ts'
import type { FileList } from './file-list.ts'

/** Batches posted and not given back; further reading waits. */
const MAX_OUTSTANDING = 8

const port = parentPort!
const free: ArrayBuffer[] = []
const reader = new SourceReader(() => free.pop() ?? new ArrayBuffer(BATCH_BYTES))
let outstanding = 0
let wake: (() => void) | undefined
/** Settles when the list before has been read. */
let reading: Promise<unknown> = Promise.resolve()

port.on('message', (message: FileList | typeof END_OF_LISTS | ArrayBuffer) => {
  if (message instanceof ArrayBuffer) {
    free.push(message)
    outstanding--
    wake?.()
  } else {
    reading = reading.then(() => read(message))
    reading.catch((error: unknown) => post({ kind: 'error', error: toRecord(error) }))
  }
})

const post = (message: ReadMessage, transfer: ArrayBuffer[] = []): void =>
  port.postMessage(message, transfer)

async function read(message: FileList | typeof END_OF_LISTS): Promise<void> {
  const isEnd = message === END_OF_LISTS
  for (const batch of isEnd ? reader.end() : reader.read(message)) {
    outstanding++
    post({ kind: 'batch', batch }, [batch.bytes.buffer as ArrayBuffer])
    if (outstanding >= MAX_OUTSTANDING) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
      wake = undefined
    }
  }
  if (isEnd) post({ kind: 'end' })
}

// A thread that is ended while it loads a native module ends the process (Node.js 24); once it is ready, it loads none.
if (process.platform === 'linux') systemCalls()
post({ kind: 'ready' })
