import { writeJsonFile } from '../../core/json-file.ts'
import type { MounterState } from '../lease/mounter-protocol.ts'

/** The file that describes what a mounter has mounted. Writes to it are queued. */
export class MounterStateFile {
  readonly #path: string
  #state: MounterState | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(path: string) {
    this.#path = path
  }

  get binds(): readonly string[] {
    return this.#state?.binds ?? []
  }

  /** Writes the first state, or what has changed of it. */
  async write(change: MounterState | Partial<MounterState>): Promise<void> {
    const state = { ...this.#state, ...change } as MounterState
    this.#state = state
    const writing = this.#write(this.#writing, state)
    this.#writing = writing.catch(() => {})
    await writing
  }

  async #write(before: Promise<void>, state: MounterState): Promise<void> {
    await before
    await writeJsonFile(this.#path, state)
  }
}
