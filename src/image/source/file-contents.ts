import { ReadThread } from './read-thread.ts'
import type { ContentBatch, ContentSource } from '../tree/content-batch.ts'
import type { FileList } from './file-list.ts'

/** Content of files on disk, read by a thread of its own. */
export class FileContents implements ContentSource {
  readonly #lists: () => AsyncIterable<FileList>
  readonly #started: ReadThread | undefined
  #thread: ReadThread | undefined

  /**
   * @param lists gives the files to read, a list after another as they are found
   * @param started its owner ends it. @default one of its own
   */
  constructor(lists: () => AsyncIterable<FileList>, started?: ReadThread) {
    this.#lists = lists
    this.#started = started
  }

  async *batches(signal?: AbortSignal): AsyncGenerator<ContentBatch, void, undefined> {
    await using own = this.#started ? undefined : new ReadThread()
    this.#thread = (this.#started ?? own)!
    try {
      yield* this.#thread.batches(this.#lists(), signal)
    } finally {
      this.#thread = undefined
    }
  }

  recycle(buffer: ArrayBuffer): void {
    this.#thread?.recycle(buffer)
  }
}
