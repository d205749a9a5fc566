import type { Duplex } from 'node:stream'
import FramedStream from 'framed-stream'
import ProtomuxRPC from 'protomux-rpc'
import { ContainerError, type ErrorCode, type ContainerErrorOptions } from '../image/errors.ts'
import { PROTOCOL, type Method } from './protocol.ts'

/** One end of the daemon's socket. Errors cross it with their code and hint. */
export class RpcChannel {
  readonly #rpc: ProtomuxRPC
  readonly closed: Promise<void>

  constructor(socket: Duplex) {
    const framed = new FramedStream(socket)
    framed.on('error', () => {})
    this.#rpc = new ProtomuxRPC(framed, { protocol: PROTOCOL })
    this.closed = new Promise((resolve) => {
      this.#rpc.once('close', resolve)
      socket.once('close', () => resolve())
    })
  }

  /** Whether this channel can carry no more requests. */
  get isClosed(): boolean {
    return this.#rpc.closed
  }

  /** Answers a method. Any error that `handle` throws is sent to the caller. */
  respond<Request, Response>(
    method: Method<Request, Response>,
    handle: (request: Request) => Promise<Response> | Response
  ): void {
    this.#rpc.respond(
      method.name,
      { requestEncoding: method.request, responseEncoding: method.response },
      async (request: Request) => {
        try {
          return await handle(request)
        } catch (error) {
          throw wireError(error)
        }
      }
    )
  }

  /**
   * Calls a method of the other end.
   *
   * @throws ContainerError the other end's error, or `DAEMON_UNREACHABLE` when the channel closes
   */
  async request<Request, Response>(
    method: Method<Request, Response>,
    request: Request
  ): Promise<Response> {
    try {
      return await this.#rpc.request(method.name, request, {
        requestEncoding: method.request,
        responseEncoding: method.response
      })
    } catch (error) {
      throw localError(error, method.name)
    }
  }

  destroy(): void {
    this.#rpc.destroy()
  }
}

/** protomux-rpc carries `message`, `code` and `context` of an error's cause. */
function wireError(error: unknown): Error {
  if (error instanceof ContainerError) return Object.assign(error, { context: error.hint ?? '' })
  const message = error instanceof Error ? error.message : String(error)
  return Object.assign(new Error(message), { code: 'IO', context: '' })
}

interface RpcErrorShape {
  readonly code?: string
  readonly cause?: { readonly code?: string; readonly message?: string; readonly context?: string }
}

function localError(error: unknown, method: string): ContainerError {
  const shape = error as RpcErrorShape
  if (shape.code === 'REQUEST_ERROR' && shape.cause?.code) {
    const options: ContainerErrorOptions = shape.cause.context
      ? { hint: shape.cause.context, cause: error }
      : { cause: error }
    return new ContainerError(
      shape.cause.code as ErrorCode,
      shape.cause.message ?? 'the daemon refused',
      options
    )
  }
  if (shape.code === 'UNKNOWN_METHOD') {
    return new ContainerError(
      'DAEMON_UNREACHABLE',
      `the running daemon does not know "${method}"`,
      {
        hint: 'it is of another release: `dat-container daemon stop`, then try again',
        cause: error
      }
    )
  }
  return new ContainerError('DAEMON_UNREACHABLE', 'the daemon went away', {
    hint: '`dat-container daemon status` tells whether it runs; its log is daemon.log in the home',
    cause: error
  })
}
