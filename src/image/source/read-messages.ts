import type { ContentBatch } from '../tree/content-batch.ts'
import type { ErrorRecord } from '../../core/error-record.ts'

/** What the thread that reads is told after the last list of files. */
export const END_OF_LISTS = 'end'

/** What it tells. */
export type ReadMessage =
  /** Its modules are loaded. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'batch'; readonly batch: ContentBatch }
  | { readonly kind: 'end' }
  | { readonly kind: 'error'; readonly error: ErrorRecord }
