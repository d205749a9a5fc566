import { randomBytes } from 'node:crypto'

const PROCESS_ID_LENGTH = 8
/** z-base-32, in which keys are written, too. */
const ALPHABET = 'ybndrfg8ejkmcpqxot1uwisza345h769'
const SHAPE = /^[a-z0-9]{8}-[0-9a-z]{1,8}$/
/** Longest text of this shape. */
export const MAX_REQUEST_ID = 17

let processPart: string | undefined
let count = 0

/**
 * Makes the id of a request of this process to the daemon: what all requests of this process share, and a number. It
 * is in the daemon's log, and in the error if the request fails. It is no secret and proves nothing.
 */
export function nextRequestId(): string {
  processPart ??= [...randomBytes(PROCESS_ID_LENGTH)].map((byte) => ALPHABET[byte & 31]).join('')
  return `${processPart}-${(++count).toString(36)}`
}

/** Whether a text may be such an id. Nothing else is written to a log as one. */
export function isRequestId(text: unknown): text is string {
  return typeof text === 'string' && SHAPE.test(text)
}
