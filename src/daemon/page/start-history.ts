import * as v from 'valibot'
import { readJsonFile, writeJsonFile } from '../../core/json-file.ts'
import { count } from '../../core/record-format.ts'
import type { PageStart } from '../../rpc/page-protocol.ts'
import { START_PARTS } from '../../rpc/start-parts.ts'

/** More than fit a page, and little to write. */
const MOST_STARTS = 32

const time = v.tuple([v.number(), v.number()])
const STARTS = v.array(
  v.object({
    container: v.string(),
    image: v.string(),
    key: v.string(),
    version: count,
    mode: v.picklist(['boot', 'process']),
    at: v.string(),
    totalMs: v.number(),
    parts: v.array(
      v.object({ part: v.picklist(START_PARTS), ms: v.number(), times: v.array(time) })
    )
  })
)

/** The last starts of containers, the latest first, in a file of the home that may be lost. */
export class StartHistory {
  readonly #path: string
  #starts: readonly PageStart[]
  #writing: Promise<void> = Promise.resolve()

  private constructor(path: string, starts: readonly PageStart[]) {
    this.#path = path
    this.#starts = starts
  }

  /** @throws the system's error for a file that cannot be opened */
  static async load(path: string): Promise<StartHistory> {
    return new StartHistory(path, (await readJsonFile(path, STARTS)) ?? [])
  }

  get all(): readonly PageStart[] {
    return this.#starts
  }

  note(start: PageStart): void {
    this.#starts = [start, ...this.#starts].slice(0, MOST_STARTS)
    // Without it, nothing is shown after a restart: no reason to fail.
    this.#writing = this.#writing
      .then(() => writeJsonFile(this.#path, this.#starts))
      .catch(() => {})
  }

  /** Returns when all is written that was noted. */
  async written(): Promise<void> {
    await this.#writing
  }
}
