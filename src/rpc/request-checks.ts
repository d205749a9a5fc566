import { ContainerError } from '../core/errors.ts'
import { JsonFields } from '../core/json-fields.ts'

/** Looks at the fields of a request, and throws where one is not what its method takes. */
export type RequestCheck = (fields: JsonFields) => void

/** Longer than any link. */
export const MAX_IMAGE_TEXT = 4_096
/** Blocks of a log are counted in 32 bits by far. */
export const MAX_BLOCK = 2 ** 40
const MAX_RANGES = 2 ** 24
const MAX_BLIND_PEERS = 16

/** @throws ContainerError `USAGE` which field is not what it should be */
export function checkRequest(method: string, request: unknown, check: RequestCheck): void {
  check(new JsonFields(request, '', (message) => badRequest(method, message)))
}

/** What a client is told whose message could not be understood. */
export function badRequest(method: string, message: string, cause?: unknown): ContainerError {
  return new ContainerError('USAGE', `the daemon cannot read this "${method}": ${message}`, {
    hint: 'program and daemon belong to different releases: `dat-container daemon stop`, then try again',
    cause
  })
}

/** Ranges of blocks as `[first, count]`. */
export function checkRanges(fields: JsonFields): void {
  const ranges = fields.get('ranges')
  if (!Array.isArray(ranges) || ranges.length > MAX_RANGES || !ranges.every(isRange)) {
    throw badRequest('fill', 'ranges is no list of ranges')
  }
}

function isRange(range: unknown): boolean {
  return Array.isArray(range) && range.length === 2 && range.every(isBlock)
}

function isBlock(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MAX_BLOCK
}

/** Public keys of blind peers, hex. */
export function checkPublicKeys(fields: JsonFields): void {
  const keys = fields.get('blindPeers')
  if (!Array.isArray(keys) || keys.length > MAX_BLIND_PEERS || !keys.every(isPublicKey)) {
    throw badRequest('entrust', 'blindPeers is no list of public keys')
  }
}

function isPublicKey(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
}

/** Versions that are in use, of any image. */
export function checkPinned(fields: JsonFields): void {
  for (const pinned of fields.objects('pinned', MAX_RANGES)) {
    pinned.text('key', MAX_IMAGE_TEXT)
    pinned.count('version')
  }
}
