import type { Logger } from 'pino'
import { isContainerError } from '../../core/errors.ts'
import { untilAborted } from '../../core/abort.ts'
import type { ImageCatalog } from '../catalog/image-catalog.ts'

interface Running {
  readonly abort: AbortController
  readonly ended: Promise<void>
}

/**
 * Lists the files of committed versions in the drives of this machine's images, in the background, because booting
 * does not need the list. The catalog records which images are not listed yet.
 */
export class ListingQueue implements AsyncDisposable {
  readonly #catalog: ImageCatalog
  readonly #log: Logger
  /** By the catalog's key. */
  readonly #running = new Map<string, Running>()

  constructor(catalog: ImageCatalog, log: Logger) {
    this.#catalog = catalog
    this.#log = log
  }

  /**
   * @param key of an `unlisted` image of the catalog that is not being listed
   * @param list is called whatever happens, and ends soon once the signal is given
   * @param after settles before it is called
   */
  begin(
    key: string,
    list: (signal: AbortSignal) => Promise<void>,
    after: Promise<unknown> = Promise.resolve()
  ): void {
    const abort = new AbortController()
    const ended = untilAborted(after, abort.signal)
      .catch(() => {})
      .then(() => list(abort.signal))
      .then(() => this.#catalog.markListed(key))
      .catch((err: unknown) => {
        if (isContainerError(err, 'CANCELLED')) return
        this.#log.warn({ err, key }, 'files are not listed; the next start or update tries again')
      })
      .finally(() => this.#running.delete(key))
    this.#running.set(key, { abort, ended })
  }

  /** Waits until nothing runs of one image. */
  async settled(key: string): Promise<void> {
    await this.#running.get(key)?.ended
  }

  /** Ends what runs of one image, and leaves it undone. */
  async stop(key: string): Promise<void> {
    this.#running.get(key)?.abort.abort()
    await this.settled(key)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.keys()].map((key) => this.stop(key)))
  }
}
