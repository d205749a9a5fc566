import {
  GETXATTR_IN_BYTES,
  IN_HEADER_BYTES,
  INIT_EXTENDED_BYTES,
  INIT_IN_BYTES,
  INTERRUPT_IN_BYTES,
  LSEEK_IN_BYTES,
  OPCODE,
  READ_IN_BYTES
} from './fuse-protocol.ts'

/** What every request begins with. */
export interface RequestHeader {
  /** Names the request in its answer; all 64 bits are the kernel's. */
  readonly unique: bigint
  readonly node: number
  /** Thread that waits for the answer, as this process sees it; 0 where it cannot. */
  readonly pid: number
}

/** Bytes of a file. */
export interface ReadBody {
  readonly kind: 'read'
  readonly offset: number
  readonly size: number
}

/** Entries of a directory; `offset` is what an earlier answer told as `next`. */
export interface ListBody {
  readonly kind: 'readdir' | 'readdirplus'
  readonly offset: number
  readonly size: number
}

export interface SeekBody {
  readonly kind: 'lseek'
  readonly offset: number
  /** As lseek(2) takes it. */
  readonly whence: number
}

export interface XattrBody {
  readonly name: Buffer
  /** 0 asks how many bytes there are. */
  readonly size: number
}

type RequestBody =
  | {
      readonly kind: 'init'
      readonly major: number
      readonly minor: number
      /** Bytes. */
      readonly maxReadahead: number
      readonly flags: number
      /** The upper 32 bits, of kernels that have them; else 0. */
      readonly upperFlags: number
    }
  | { readonly kind: 'lookup'; readonly name: Buffer }
  | ({ readonly kind: 'getxattr' } & XattrBody)
  | { readonly kind: 'listxattr'; readonly size: number }
  | ReadBody
  | ListBody
  | SeekBody
  /** `target` is the `unique` of a request whose asker got a signal. */
  | { readonly kind: 'interrupt'; readonly target: bigint }
  | { readonly kind: 'getattr' | 'readlink' | 'open' | 'opendir' }
  | { readonly kind: 'statfs' }
  /** RELEASE, RELEASEDIR, DESTROY: nothing is held that could be let go. */
  | { readonly kind: 'end' }
  /** FORGET, BATCH_FORGET: take no answer. */
  | { readonly kind: 'forget' }
  | { readonly kind: 'unknown' }
  /** Shorter than its kind has to be, or a name without an end. */
  | { readonly kind: 'malformed' }

export type FuseRequest = RequestHeader & RequestBody

const MALFORMED: RequestBody = { kind: 'malformed' }
const EMPTY_BODIES = new Map<number, RequestBody>([
  [OPCODE.getattr, { kind: 'getattr' }],
  [OPCODE.readlink, { kind: 'readlink' }],
  [OPCODE.open, { kind: 'open' }],
  [OPCODE.opendir, { kind: 'opendir' }],
  [OPCODE.statfs, { kind: 'statfs' }],
  [OPCODE.release, { kind: 'end' }],
  [OPCODE.releasedir, { kind: 'end' }],
  [OPCODE.destroy, { kind: 'end' }],
  [OPCODE.forget, { kind: 'forget' }],
  [OPCODE.batchForget, { kind: 'forget' }]
])

/**
 * Takes one request of the kernel apart. Names are views of `bytes`.
 *
 * @param bytes what one read of /dev/fuse gave
 * @returns undefined where there is not even a header to answer to
 */
export function parseRequest(bytes: Buffer): FuseRequest | undefined {
  if (bytes.length < IN_HEADER_BYTES) return undefined
  const header = {
    unique: bytes.readBigUInt64LE(8),
    node: readUInt64(bytes, 16),
    pid: bytes.readUInt32LE(32)
  }
  const opcode = bytes.readUInt32LE(4)
  const isWhole = bytes.readUInt32LE(0) === bytes.length
  return { ...header, ...parseBody(opcode, isWhole, bytes.subarray(IN_HEADER_BYTES)) }
}

function parseBody(opcode: number, isWhole: boolean, body: Buffer): RequestBody {
  const empty = EMPTY_BODIES.get(opcode)
  // What takes no answer gets none, whatever it looks like.
  if (empty?.kind === 'forget') return empty
  if (!isWhole) return MALFORMED
  if (empty !== undefined) return empty
  switch (opcode) {
    case OPCODE.lookup: {
      const name = endedName(body)
      return name === undefined ? MALFORMED : { kind: 'lookup', name }
    }
    case OPCODE.read:
      return readBody('read', body)
    case OPCODE.readdir:
      return readBody('readdir', body)
    case OPCODE.readdirplus:
      return readBody('readdirplus', body)
    case OPCODE.getxattr: {
      if (body.length < GETXATTR_IN_BYTES) return MALFORMED
      const name = endedName(body.subarray(GETXATTR_IN_BYTES))
      return name === undefined ? MALFORMED : { kind: 'getxattr', name, size: body.readUInt32LE(0) }
    }
    case OPCODE.listxattr:
      if (body.length < GETXATTR_IN_BYTES) return MALFORMED
      return { kind: 'listxattr', size: body.readUInt32LE(0) }
    case OPCODE.lseek:
      if (body.length < LSEEK_IN_BYTES) return MALFORMED
      return { kind: 'lseek', offset: readUInt64(body, 8), whence: body.readUInt32LE(16) }
    case OPCODE.interrupt:
      if (body.length < INTERRUPT_IN_BYTES) return MALFORMED
      return { kind: 'interrupt', target: body.readBigUInt64LE(0) }
    case OPCODE.init:
      if (body.length < INIT_IN_BYTES) return MALFORMED
      return {
        kind: 'init',
        major: body.readUInt32LE(0),
        minor: body.readUInt32LE(4),
        maxReadahead: body.readUInt32LE(8),
        flags: body.readUInt32LE(12),
        upperFlags: body.length < INIT_EXTENDED_BYTES ? 0 : body.readUInt32LE(16)
      }
    default:
      return { kind: 'unknown' }
  }
}

function readBody(kind: 'read' | 'readdir' | 'readdirplus', body: Buffer): RequestBody {
  if (body.length < READ_IN_BYTES) return MALFORMED
  return { kind, offset: readUInt64(body, 8), size: body.readUInt32LE(16) }
}

/** The bytes before the NUL that has to end them. */
function endedName(bytes: Buffer): Buffer | undefined {
  const end = bytes.indexOf(0)
  return end < 0 ? undefined : bytes.subarray(0, end)
}

/** Exact up to 2^53: beyond that come only offsets that no file has. */
function readUInt64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32
}
