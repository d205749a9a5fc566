import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo, ListenOptions } from 'node:net'
import { systemErrorCode, type ContainerError } from '../errors.ts'

/** Asking takes no longer. */
const REQUEST_TIMEOUT_MS = 5_000

export interface HttpListenerOptions {
  readonly address: Pick<ListenOptions, 'host' | 'port' | 'path'>
  readonly answer: RequestListener
  readonly mostConnections: number
  /** Makes the error for an address at which it cannot listen. @param why the system's code, or what it says */
  readonly refused: (why: string, cause: unknown) => ContainerError
}

/** Answers HTTP at one address, for few clients that ask for little. */
export class HttpListener implements AsyncDisposable {
  readonly #server: Server

  private constructor({ answer, mostConnections }: HttpListenerOptions) {
    this.#server = createServer(answer)
    this.#server.maxConnections = mostConnections
    this.#server.requestTimeout = REQUEST_TIMEOUT_MS
    this.#server.headersTimeout = REQUEST_TIMEOUT_MS
  }

  /** @throws ContainerError that of `refused` where it cannot listen */
  static async open(options: HttpListenerOptions): Promise<HttpListener> {
    const listener = new HttpListener(options)
    try {
      listener.#server.listen({ ...options.address })
      await once(listener.#server, 'listening')
    } catch (cause) {
      throw options.refused(systemErrorCode(cause) ?? String(cause), cause)
    }
    return listener
  }

  /** Where it listens, if that is no unix socket. */
  get address(): AddressInfo {
    return this.#server.address() as AddressInfo
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }
}
