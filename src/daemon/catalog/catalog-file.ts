import { ContainerError } from '../../core/errors.ts'
import { readRecord, writeDurableJson } from '../../core/json-file.ts'
import type { RecordFormat } from '../../core/record-format.ts'

/** A list that a home must not lose: a file of it, 0600 because it holds secrets, rewritten whole. */
export class CatalogFile<Document> {
  readonly #path: string
  #writing: Promise<void> = Promise.resolve()

  constructor(path: string) {
    this.#path = path
  }

  /**
   * Reads the list.
   *
   * @param what it is of, for errors
   * @returns undefined where there is none yet
   * @throws ContainerError `IO` for a damaged one, `UNSUPPORTED_VERSION`
   */
  async read(format: RecordFormat<Document>, what: string): Promise<Document | undefined> {
    const path = this.#path
    const found = await readRecord(path, format)
    if (found.kind === 'record') return found.record
    if (found.kind === 'absent') return undefined
    if (found.kind === 'damaged') {
      throw new ContainerError('IO', `cannot read the list of ${what} ${path}: it ${found.why}`, {
        hint: 'restore it from a backup, or move it away to start with an empty list',
        cause: found.cause
      })
    }
    throw new ContainerError('UNSUPPORTED_VERSION', `${path} is of a later release`, {
      hint: 'use that release, or another --home'
    })
  }

  /** Writes the list as it is when its turn comes: one write after the other. @throws ContainerError `DISK_FULL`, `IO` */
  write(document: () => Document): Promise<void> {
    const next = this.#writing.catch(() => {}).then(() => writeDurableJson(this.#path, document()))
    this.#writing = next
    return next
  }
}
