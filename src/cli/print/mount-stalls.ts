import { watch, type FSWatcher } from 'node:fs'
import { dirname } from 'node:path'
import type { Output } from './output.ts'
import { waitingOf } from './image-health-text.ts'

/** Says on stderr what reads of a mounted image wait for, when that changes. Disposing ends it. */
export class MountStalls implements Disposable {
  readonly #output: Output
  #watcher: FSWatcher | undefined
  #socket = ''
  #told = ''

  constructor(output: Output) {
    this.#output = output
  }

  /** @param mounterSocket of the mounter of the image; may change */
  watch(mounterSocket: string): void {
    if (mounterSocket === this.#socket) return
    this.#socket = mounterSocket
    this.#watcher?.close()
    // The mounter replaces its state in one step, in the directory of its socket.
    this.#watcher = watch(dirname(mounterSocket), { persistent: false }, (_event, name) => {
      if (name === 'state.json') void this.#look().catch(() => {})
    })
    this.#watcher.on('error', () => {})
    void this.#look().catch(() => {})
  }

  async #look(): Promise<void> {
    const { readImageHealth } = await import('../../boot/lease/image-health.ts')
    const { waiting } = await readImageHealth(this.#socket)
    const text = waitingOf(waiting).join('')
    if (text === this.#told) return
    this.#told = text
    this.#output.note(`reads of the image: ${text === '' ? 'they go on' : text}`)
  }

  [Symbol.dispose](): void {
    this.#watcher?.close()
  }
}
