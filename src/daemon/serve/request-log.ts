import type { Logger } from 'pino'
import { isContainerError } from '../../core/errors.ts'
import type { Answered } from '../../rpc/rpc.ts'

/** Failures of one connection that are logged in a minute; a reader that repeats a request must not fill the disk. */
const MOST_FAILURES = 60
const MINUTE_MS = 60_000
/** Many in a second, and alike. */
const FREQUENT: ReadonlySet<string> = new Set([
  'block',
  'holding',
  'stats',
  'publish.append',
  'publish.append-slot'
])

/** Writes down which requests of a connection were answered, and which failed and why: each with its id. */
export class RequestLog {
  readonly #log: Logger
  #sinceMs = performance.now()
  #failures = 0

  constructor(log: Logger) {
    this.#log = log
  }

  note({ method, requestId, ms, error }: Answered): void {
    const request = { requestId, method, ms: Math.round(ms) }
    if (error === undefined) {
      const level = FREQUENT.has(method) ? 'trace' : 'debug'
      if (this.#log.isLevelEnabled(level)) this.#log[level](request, 'request answered')
      return
    }
    // A client that hung up waits for no answer.
    const level = isContainerError(error, 'CANCELLED') || !this.#hasRoom() ? 'debug' : undefined
    if (level !== undefined) this.#log[level]({ ...request, err: error }, 'request failed')
    else if (isContainerError(error)) {
      const { code, message } = error
      this.#log.info({ ...request, code, reason: message }, 'request failed')
    } else this.#log.error({ ...request, err: error }, 'request failed')
  }

  #hasRoom(): boolean {
    const now = performance.now()
    if (now - this.#sinceMs > MINUTE_MS) {
      this.#sinceMs = now
      this.#failures = 0
    }
    return ++this.#failures <= MOST_FAILURES
  }
}
