/** The thread of {@link DecodeThread}: decodes one index. */
import { parentPort } from 'node:worker_threads'
import { toRecord, type ErrorRecord } from './error-record.ts'
import { isContainerError } from './errors.ts'
import { decodeColumns } from './index-decoder.ts'
import type { DerivedColumns, TreeColumns } from './column-tree.ts'

/** Buffers come out of it as plain arrays of bytes. */
export type DecodeMessage =
  | { readonly columns: TreeColumns; readonly derived: DerivedColumns }
  | { readonly error: ErrorRecord }

const port = parentPort!
port.once('message', (packed: Uint8Array) => port.postMessage(decoded(packed)))

function decoded(packed: Uint8Array): DecodeMessage {
  try {
    const [columns, derived] = decodeColumns(packed)
    return { columns, derived }
  } catch (error) {
    if (!isContainerError(error)) throw error
    return { error: toRecord(error) }
  }
}
