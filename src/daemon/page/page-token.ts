import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** As many bits as a guess must not find. */
const TOKEN_BYTES = 32
const SCHEME = /^Bearer ([\w-]{1,128})$/

/**
 * The secret that opens a daemon's page. It is in the memory of this process and of the browser alone: a new one is made
 * when a daemon starts, so that nobody who listens at its port later can use what an open page says.
 */
export class PageToken {
  readonly text = randomBytes(TOKEN_BYTES).toString('base64url')
  readonly #digest = digestOf(this.text)

  /** Whether the `Authorization` header of a request has it. It takes the same time wherever a guess is wrong. */
  isIn(header: string | undefined): boolean {
    const [, given = ''] = SCHEME.exec(header ?? '') ?? []
    return timingSafeEqual(digestOf(given), this.#digest)
  }
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
