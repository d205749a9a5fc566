import { pathAt, type FileList } from '../image/file-list.ts'
import type { RemotePublish } from './publish-client.ts'

/** Beyond, looking entries up is not what an update waits for. */
const MOST_FORESEEN = 4096
/** Few enough to know of them soon, and enough for a message. */
const A_MESSAGE = 32

/**
 * Tells the daemon of files whose entries the commit will replace, while they are found. Of the last few it
 * is not told: the commit looks them up as soon.
 */
export class Foresight {
  readonly #publish: RemotePublish
  #paths: string[] = []
  #left = MOST_FORESEEN

  constructor(publish: RemotePublish) {
    this.#publish = publish
  }

  add(files: FileList): void {
    for (let i = 0; i < files.length && this.#left > 0; i++, this.#left--) {
      // As the drive spells them.
      this.#paths.push(Buffer.from(pathAt(files, i)).toString())
    }
    if (this.#paths.length < A_MESSAGE) return
    // Only saves time; the commit tells of what is wrong.
    this.#publish.foresee(this.#paths).catch(() => {})
    this.#paths = []
  }
}
