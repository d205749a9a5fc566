import type { ContentSource } from '../tree/content-batch.ts'
import type { StartCommand } from '../format/manifest.ts'
import type { TreeBuilder } from '../tree/tree-builder.ts'
import type { UnchangedFiles } from './unchanged-files.ts'

/** Something to publish. Content is still to come, and of what streams by, the metadata too. */
export interface PublishSource {
  /** For the manifest: `directory`, `tar`, `oci`, … */
  readonly kind: string
  /** Everything but the content of files, once all of `contents` has gone by. */
  readonly builder: TreeBuilder
  readonly contents: ContentSource
  /** Files that `contents` leaves out, of the version that is published again. */
  readonly unchanged?: UnchangedFiles | undefined
  /** Estimates for progress, exact for directories; 0 where nobody knows. */
  readonly totalFiles: number
  readonly totalBytes: number
  /** What the source itself says of these, as OCI images do; otherwise they are detected. */
  readonly arch?: string
  readonly start?: Partial<StartCommand>
}
