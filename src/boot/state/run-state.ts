import { monotonicMs } from '../../core/monotonic-clock.ts'
import type { BootTimings, ContainerState, StartMarks } from './container-record.ts'
import { writeJsonFile } from '../../core/json-file.ts'

/** A change of some fields; timings are added to those there are. */
export type StateChange = Partial<Omit<ContainerState, 'timings' | 'marks'>> & {
  /** The stage that is reached now; the time is noted under both clocks. */
  reached?: keyof BootTimings
}

/** The state of a running container in its runner: written to disk, and passed to a listener. */
export class RunState {
  readonly #began = performance.now()
  readonly #onState: (state: ContainerState) => void
  #path = ''
  #current: ContainerState | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(onState: (state: ContainerState) => void = () => {}) {
    this.#onState = onState
  }

  /** Undefined before {@link begin}. */
  get current(): ContainerState | undefined {
    return this.#current
  }

  /** Whole milliseconds since the boot began. */
  elapsedMs(): number {
    return Math.round(performance.now() - this.#began)
  }

  /** Writes the first state to `path`, where all later ones go too. */
  async begin(path: string, first: ContainerState): Promise<void> {
    this.#path = path
    this.#current = first
    await this.update({ reached: 'mountedMs' })
  }

  /** Writes are made one after another; one that fails is made good by the next. */
  async update(change: StateChange): Promise<void> {
    const { reached, ...fields } = change
    const known: Partial<ContainerState> = { ...this.#current, ...fields }
    const timings = { ...known.timings, ...(reached && { [reached]: this.elapsedMs() }) }
    const marks = { ...known.marks, ...(reached && { [reached]: monotonicMs() }) } as StartMarks
    const state = { ...known, timings, marks } as ContainerState
    this.#current = state
    this.#writing = this.#writing.then(() => writeJsonFile(this.#path, state)).catch(() => {})
    await this.#writing
    this.#onState(state)
  }
}
