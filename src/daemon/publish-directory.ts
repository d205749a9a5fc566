import { scanDirectory } from '../image/directory-source.ts'
import { decodeIndex, decompressPart, MAX_INDEX_BYTES } from '../image/index-codec.ts'
import { publishTree, type PublishProgress } from '../image/publish.ts'
import { DaemonClient } from './client.ts'
import { openHome } from './home.ts'
import { METHODS } from './protocol.ts'
import { RemotePublish } from './publish-client.ts'

export interface PublishDirectoryOptions {
  readonly home: string
  readonly path: string
  readonly name: string
  readonly description?: string
  /** Link or name of the image to add a version to. */
  readonly update?: string
  readonly message?: string
  readonly exclude?: readonly string[]
  readonly oneFileSystem?: boolean
  readonly signal: AbortSignal
  readonly onProgress?: (progress: PublishProgress) => void
}

/** What `share` tells of a completed publish. */
export interface Published {
  readonly link: string
  readonly mirrorLink: string
  readonly key: string
  readonly name: string
  readonly version: number
  readonly files: number
  readonly bytes: number
  readonly storedBytes: number
  /** Stored bytes that this publish added. */
  readonly newBytes: number
}
