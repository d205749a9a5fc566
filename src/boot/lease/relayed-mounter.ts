import type { ImageNews } from '../../session/connection/image-session.ts'
import { ContainerError } from '../../core/errors.ts'
import { untilAborted } from '../../core/abort.ts'
import { fromRecord } from '../../core/error-record.ts'
import type { MounterGreeting } from './mounter-protocol.ts'
import type { MounterAhead } from './starting-mounter.ts'

/** The mounter that the parent process of a detached runner started. The parent ends it if nobody takes a lease. */
export class RelayedMounter implements MounterAhead {
  readonly #greeting: Promise<MounterGreeting | undefined>
  news: ImageNews | undefined

  /** @param greeting undefined when the starter has gone before it came; never rejects */
  constructor(greeting: Promise<MounterGreeting | undefined>) {
    this.#greeting = greeting
  }

  async socket(signal?: AbortSignal): Promise<string> {
    const greeting = await (signal === undefined
      ? this.#greeting
      : untilAborted(this.#greeting, signal).catch(() => undefined))
    if (greeting === undefined) {
      throw new ContainerError('CANCELLED', 'cancelled while the image was being mounted')
    }
    if ('error' in greeting) throw fromRecord(greeting.error)
    this.news = greeting.news
    return greeting.socket
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
