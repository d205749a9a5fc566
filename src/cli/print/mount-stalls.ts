import type { Output } from './output.ts'
import { waitingOf } from './image-health-text.ts'

const LOOK_MS = 1_000

/** Says on stderr what reads of a mounted image wait for, when that changes. Disposing ends it. */
export class MountStalls implements Disposable {
  readonly #output: Output
  #timer: NodeJS.Timeout | undefined
  #socket = ''
  #told = ''

  constructor(output: Output) {
    this.#output = output
  }

  /** @param mounterSocket of whoever has the image mounted; may change */
  watch(mounterSocket: string): void {
    this.#socket = mounterSocket
    this.#timer ??= setInterval(() => void this.#look().catch(() => {}), LOOK_MS).unref()
  }

  async #look(): Promise<void> {
    const { readImageHealth } = await import('../../boot/lease/image-health.ts')
    const { waiting } = await readImageHealth(this.#socket)
    const text = waitingOf(waiting).join('')
    if (text === this.#told) return
    this.#told = text
    this.#output.note(`reads of the image: ${text === '' ? 'all is here again' : text}`)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
