import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'

/** A file that a client asked for, once the answer is out or the client has gone. */
export interface HttpEvent {
  readonly event: 'http'
  readonly client: string
  readonly file: string
  readonly status: number
  readonly bytes: number
  /** Whether the client took all of it. */
  readonly complete: boolean
}

/** A few files, from memory, over HTTP. Disposing ends all connections. */
export class FileServer implements AsyncDisposable {
  readonly port: number
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
  }

  /**
   * @param files by name; they lie at the root
   * @param place.port HTTP port; 0 for any free port
   * @throws ContainerError `BUSY`, `USAGE` where the port or address cannot be had
   */
  static async open(
    files: ReadonlyMap<string, Buffer>,
    place: { address: string; port: number },
    onEvent: (event: HttpEvent) => void
  ): Promise<FileServer> {
    const server = createServer((request, response) => answer(files, request, response, onEvent))
    server.listen(place.port, place.address)
    try {
      await once(server, 'listening')
    } catch (cause) {
      throw listenError(place, cause)
    }
    return new FileServer(server)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }
}

function answer(
  files: ReadonlyMap<string, Buffer>,
  request: IncomingMessage,
  response: ServerResponse,
  onEvent: (event: HttpEvent) => void
): void {
  const { method = '', url = '', socket } = request
  const client = socket.remoteAddress ?? ''
  const file = url.replace(/^\//, '').replace(/\?.*$/s, '')
  const content = files.get(file)
  const isRead = method === 'GET' || method === 'HEAD'
  const status = isRead ? (content === undefined ? 404 : 200) : 405
  const body = status === 200 ? content! : Buffer.alloc(0)
  response.on('close', () => {
    const complete = response.writableFinished
    const bytes = method === 'GET' && complete ? body.length : 0
    onEvent({ event: 'http', client, file, status, bytes, complete })
  })
  response.writeHead(status, {
    'content-type': file.endsWith('.ipxe') ? 'text/plain' : 'application/octet-stream',
    'content-length': body.length,
    ...(status === 405 ? { allow: 'GET, HEAD' } : {})
  })
  response.end(method === 'HEAD' ? undefined : body)
}

function listenError({ address, port }: { address: string; port: number }, cause: unknown) {
  const code = systemErrorCode(cause)
  if (code === 'EADDRINUSE') {
    return new ContainerError('BUSY', `port ${port} of ${address} is taken`, {
      hint: 'give another --http-port, or leave it out for one that is free',
      cause
    })
  }
  return new ContainerError('USAGE', `cannot listen on ${address}, port ${port} (${code})`, {
    hint: 'give another --http-port',
    cause
  })
}
