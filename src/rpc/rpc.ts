import type { Duplex } from 'node:stream'
import c, { type Encoding } from 'compact-encoding'
import FramedStream from 'framed-stream'
import Protomux from 'protomux'
import ProtomuxRPC from 'protomux-rpc'
import { fromRecord, toRecord } from '../core/error-record.ts'
import { ContainerError } from '../core/errors.ts'
import { isDamage, storeDamaged } from '../p2p/store-error.ts'
import { requireMethod } from '../p2p/library-seams.ts'
import { isRequestId, MAX_REQUEST_ID, nextRequestId } from './request-id.ts'
import { PROTOCOL } from './protocol.ts'
import { readReference, type Method } from './method.ts'
import { badRequest, checkRequest } from './request-checks.ts'

/** Frames whose length nobody can have memory for end their connection and nothing else. */
class Frames extends FramedStream {
  override _ondata(data: Buffer): void {
    try {
      super._ondata(data)
    } catch (error) {
      this.destroy(error as Error)
    }
  }
}

/**
 * What comes on one connection is that one's affair. Protomux takes a TypeError while it decodes for a
 * mistake of its own program, and throws it where nobody catches it.
 */
class Multiplexer extends Protomux {
  override _safeDestroy(error: Error): void {
    this.destroy(error)
  }

  override _warn(): void {}
}

// They are replaced by inheritance, and would be missed in silence.
requireMethod('FramedStream._ondata', FramedStream.prototype)
requireMethod('Protomux._safeDestroy', Protomux.prototype)
requireMethod('Protomux._warn', Protomux.prototype)

/** As protomux-rpc sends and takes it. Messages are decoded here, where an error has somebody to go to. */
const UNDECODED = { requestEncoding: c.raw, responseEncoding: c.raw }

/** A request that was answered, or that failed. */
export interface Answered {
  readonly method: string
  /** Undefined where a client sent none that may be one. */
  readonly requestId: string | undefined
  readonly ms: number
  readonly error: unknown
}

/**
 * One end of the daemon's socket. Each request begins with its id, as text with its length before it. Errors cross the
 * socket with their code and hint.
 */
export class RpcChannel {
  readonly #rpc: ProtomuxRPC
  #isForeign = false
  readonly #onAnswered: ((answered: Answered) => void) | undefined
  readonly closed: Promise<void>

  /** @param onAnswered is told of each request that this end has answered */
  constructor(socket: Duplex, onAnswered?: (answered: Answered) => void) {
    this.#onAnswered = onAnswered
    const framed = new Frames(socket)
    framed.on('error', () => {})
    this.#rpc = new ProtomuxRPC(new Multiplexer(framed), { protocol: PROTOCOL })
    let isOpen = false
    this.#rpc.once('open', () => (isOpen = true))
    // A channel that was refused, and not a socket that was closed.
    this.#rpc.once('close', () => {
      this.#isForeign = !isOpen && !socket.destroyed && !socket.readableEnded
    })
    this.closed = new Promise((resolve) => {
      this.#rpc.once('close', resolve)
      socket.once('close', () => resolve())
    })
  }

  /** Whether this channel can carry no more requests. */
  get isClosed(): boolean {
    return this.#rpc.closed
  }

  /** Whether the other end does not know this protocol. */
  get isForeign(): boolean {
    return this.#isForeign
  }

  /** Answers a method. Any error that `handle` throws is sent to the caller, as is what is wrong with its request. */
  respond<Request, Response>(
    method: Method<Request, Response>,
    handle: (request: Request, requestId: string) => Promise<Response> | Response
  ): void {
    this.#rpc.respond(method.name, UNDECODED, async (message: Buffer) => {
      const sinceMs = performance.now()
      const { requestId, body } = readId(message)
      const answered = (error?: unknown): void => {
        const ms = performance.now() - sinceMs
        this.#onAnswered?.({ method: method.name, requestId, ms, error })
      }
      try {
        if (requestId === undefined) throw badRequest(method.name, 'it has no id')
        const response = await handle(readRequest(method, body), requestId)
        const answer = encoded(method.response, response)
        answered()
        return answer
      } catch (error) {
        answered(error)
        throw wireError(error)
      }
    })
  }

  /**
   * Calls a method of the other end.
   *
   * @throws ContainerError the other end's error, or `DAEMON_UNREACHABLE` when the channel closes or what comes is
   *   no answer; with the request's id
   */
  async request<Request, Response>(
    method: Method<Request, Response>,
    request: Request
  ): Promise<Response> {
    const requestId = nextRequestId()
    try {
      const message = encodedRequest(method.request, requestId, request)
      const answer = await this.#rpc.request(method.name, message, UNDECODED)
      return readReference(c.decode(method.response, answer), method.references?.response)
    } catch (error) {
      throw this.isForeign ? foreignError(error) : localError(error, method.name, requestId)
    }
  }

  destroy(): void {
    this.#rpc.destroy()
  }
}

/** Divides a request into its id and the rest. */
function readId(message: Buffer): {
  readonly requestId: string | undefined
  readonly body: Buffer
} {
  const length = message[0] ?? 0
  if (length > MAX_REQUEST_ID || length >= message.length)
    return { requestId: undefined, body: message }
  const text = message.toString('latin1', 1, 1 + length)
  return { requestId: isRequestId(text) ? text : undefined, body: message.subarray(1 + length) }
}

/** Encodes a request behind its id, in one buffer: requests of a publish are large. */
function encodedRequest<T>(encoding: Encoding<T>, requestId: string, request: T): Buffer {
  const head = Buffer.from(`\0${requestId}`, 'latin1')
  head[0] = requestId.length
  if (encoding === (c.raw as Encoding<unknown>)) return Buffer.concat([head, request as Buffer])
  const state = { start: head.length, end: head.length, buffer: head }
  encoding.preencode(state, request)
  state.buffer = Buffer.allocUnsafe(state.end)
  head.copy(state.buffer)
  encoding.encode(state, request)
  return state.buffer
}

function readRequest<Request>(method: Method<Request, unknown>, message: Buffer): Request {
  let request: Request
  try {
    request = c.decode(method.request, message)
  } catch (cause) {
    throw badRequest(method.name, 'it is damaged', cause)
  }
  if (method.check) checkRequest(method.name, request, method.check)
  return readReference(request, method.references?.request)
}

/** `c.raw` passes bytes on as they are. */
function encoded<T>(encoding: Encoding<T>, value: T): Buffer {
  return encoding === (c.raw as Encoding<unknown>) ? (value as Buffer) : c.encode(encoding, value)
}

/** protomux-rpc carries `message`, `code` and `context` of an error's cause. */
function wireError(error: unknown): Error {
  const { code, message, hint = '' } = toRecord(error)
  if (isDamage(error)) return wireError(storeDamaged(`the store is damaged: ${message}`, error))
  return Object.assign(new Error(message), { code, context: hint })
}

function foreignError(cause: unknown): ContainerError {
  return new ContainerError('DAEMON_UNREACHABLE', 'the running daemon belongs to another release', {
    hint: 'stop it (dat-container daemon stop), then try again; a service: sudo systemctl restart dat-container',
    cause
  })
}

interface RpcErrorShape {
  readonly code?: string
  readonly cause?: { readonly code?: string; readonly message?: string; readonly context?: string }
}

function localError(error: unknown, method: string, requestId: string): ContainerError {
  const shape = error as RpcErrorShape
  if (shape.code === 'REQUEST_ERROR' && shape.cause?.code) {
    const { code, message = 'the daemon refused', context } = shape.cause
    const hint = context === '' ? undefined : context
    return fromRecord({ code, message, hint, requestId }, error)
  }
  if (shape.code === 'UNKNOWN_METHOD') {
    return new ContainerError(
      'DAEMON_UNREACHABLE',
      `the running daemon does not know "${method}"`,
      {
        hint: 'it belongs to another release: `dat-container daemon stop`, then try again',
        requestId,
        cause: error
      }
    )
  }
  return new ContainerError('DAEMON_UNREACHABLE', 'the daemon went away', {
    hint: '`dat-container daemon status` shows whether it runs; its log is daemon.log in the home',
    requestId,
    cause: error
  })
}
