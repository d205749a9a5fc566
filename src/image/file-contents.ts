import { filesToRead } from './file-list.ts'
import { ReadThread } from './read-thread.ts'
import type { ContentBatch, ContentSource } from './content-batch.ts'
import type { FileList } from './file-list.ts'

/** Content of files on disk, but of those that are marked as unchanged, read by a thread of its own. */
export class FileContents implements ContentSource {
  readonly #files: FileList
  readonly #started: ReadThread | undefined
  #thread: ReadThread | undefined

  /** @param started whoever started it ends it. @default one of its own */
  constructor(files: FileList, started?: ReadThread) {
    this.#files = files
    this.#started = started
  }

  async *batches(signal?: AbortSignal): AsyncGenerator<ContentBatch, void, undefined> {
    await using own = this.#started ? undefined : new ReadThread()
    this.#thread = (this.#started ?? own)!
    try {
      yield* this.#thread.batches(filesToRead(this.#files), signal)
    } finally {
      this.#thread = undefined
    }
  }

  recycle(buffer: ArrayBuffer): void {
    this.#thread?.recycle(buffer)
  }
}
