import type { Duplex } from 'node:stream'
import c, { type Encoding } from 'compact-encoding'
import FramedStream from 'framed-stream'
import Protomux from 'protomux'
import ProtomuxRPC from 'protomux-rpc'
import { fromRecord, toRecord } from '../core/error-record.ts'
import { ContainerError } from '../core/errors.ts'
import { isDamage, storeDamaged } from '../p2p/store-error.ts'
import { requireMethod } from '../p2p/library-seams.ts'
import { PROTOCOL, readReference, type Method } from './protocol.ts'
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

/** One end of the daemon's socket. Errors cross it with their code and hint. */
export class RpcChannel {
  readonly #rpc: ProtomuxRPC
  readonly closed: Promise<void>

  constructor(socket: Duplex) {
    const framed = new Frames(socket)
    framed.on('error', () => {})
    this.#rpc = new ProtomuxRPC(new Multiplexer(framed), { protocol: PROTOCOL })
    this.closed = new Promise((resolve) => {
      this.#rpc.once('close', resolve)
      socket.once('close', () => resolve())
    })
  }

  /** Whether this channel can carry no more requests. */
  get isClosed(): boolean {
    return this.#rpc.closed
  }

  /** Answers a method. Any error that `handle` throws is sent to the caller, as is what is wrong with its request. */
  respond<Request, Response>(
    method: Method<Request, Response>,
    handle: (request: Request) => Promise<Response> | Response
  ): void {
    this.#rpc.respond(method.name, UNDECODED, async (message: Buffer) => {
      try {
        const response = await handle(readRequest(method, message))
        return encoded(method.response, response)
      } catch (error) {
        throw wireError(error)
      }
    })
  }

  /**
   * Calls a method of the other end.
   *
   * @throws ContainerError the other end's error, or `DAEMON_UNREACHABLE` when the channel closes or what comes is
   *   no answer
   */
  async request<Request, Response>(
    method: Method<Request, Response>,
    request: Request
  ): Promise<Response> {
    try {
      const message = encoded(method.request, request)
      const answer = await this.#rpc.request(method.name, message, UNDECODED)
      return readReference(c.decode(method.response, answer), method.references?.response)
    } catch (error) {
      throw localError(error, method.name)
    }
  }

  destroy(): void {
    this.#rpc.destroy()
  }
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

interface RpcErrorShape {
  readonly code?: string
  readonly cause?: { readonly code?: string; readonly message?: string; readonly context?: string }
}

function localError(error: unknown, method: string): ContainerError {
  const shape = error as RpcErrorShape
  if (shape.code === 'REQUEST_ERROR' && shape.cause?.code) {
    const { code, message = 'the daemon refused', context } = shape.cause
    return fromRecord({ code, message, hint: context === '' ? undefined : context }, error)
  }
  if (shape.code === 'UNKNOWN_METHOD') {
    return new ContainerError(
      'DAEMON_UNREACHABLE',
      `the running daemon does not know "${method}"`,
      {
        hint: 'it belongs to another release: `dat-container daemon stop`, then try again',
        cause: error
      }
    )
  }
  return new ContainerError('DAEMON_UNREACHABLE', 'the daemon went away', {
    hint: '`dat-container daemon status` shows whether it runs; its log is daemon.log in the home',
    cause: error
  })
}
