import type { ContentBatch } from './content-batch.ts'
import type { ErrorCode } from './errors.ts'

/** What the thread that reads is told after the last list of files. */
export const END_OF_LISTS = 'end'

/** What it tells. */
export type ReadMessage =
  | { readonly kind: 'batch'; readonly batch: ContentBatch }
  | { readonly kind: 'end' }
  | {
      readonly kind: 'error'
      readonly code: ErrorCode
      readonly message: string
      readonly hint: string | undefined
    }
