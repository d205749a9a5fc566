import { createServer, type Server, type Socket } from 'node:net'
import { chmod } from 'node:fs/promises'
import { toRecord } from '../../core/error-record.ts'
import { ContainerError } from '../../core/errors.ts'
import { readJsonLines, writeJsonLine } from '../../core/json-lines.ts'
import type { MounterMethods, WireRequest, WireResponse } from '../lease/mounter-protocol.ts'

/** Answers of a mounter; each may reject with any error, which reaches the caller. */
export type ImageHandlers = {
  readonly [M in keyof MounterMethods]: (
    params: MounterMethods[M]['params']
  ) => Promise<MounterMethods[M]['result']>
}

/** The number of what is no request; those of requests are above. */
const NO_REQUEST = -1

/** The socket of a mounter (mode 0600). Each connection to it is a lease. */
export class MounterServer implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #onLeaseChange: (leases: number) => void

  private constructor(handlers: ImageHandlers, onLeaseChange: (leases: number) => void) {
    this.#onLeaseChange = onLeaseChange
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      this.#onLeaseChange(this.#sockets.size)
      socket.on('error', () => {})
      socket.once('close', () => {
        this.#sockets.delete(socket)
        this.#onLeaseChange(this.#sockets.size)
      })
      void answerAll(socket, handlers)
    })
  }

  /** Listens at `path`, which must not exist. */
  static async listen(
    path: string,
    handlers: ImageHandlers,
    onLeaseChange: (leases: number) => void
  ): Promise<MounterServer> {
    const server = new MounterServer(handlers, onLeaseChange)
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject)
      server.#server.listen(path, resolve)
    })
    await chmod(path, 0o600)
    return server
  }

  get leases(): number {
    return this.#sockets.size
  }

  /** Takes no more connections, ends the ones there are, removes the socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => {
      this.#server.close(resolve)
    })
    // `end` lets answers that are on their way out arrive; the peer closes on its side.
    for (const socket of this.#sockets) socket.end(() => socket.destroy())
    await closed
  }
}

/** Answers a message that cannot be read with an error, and ends the sender's lease. */
async function answerAll(socket: Socket, handlers: ImageHandlers): Promise<void> {
  try {
    for await (const request of readJsonLines(socket)) void answer(socket, handlers, request)
  } catch (error) {
    const response: WireResponse = { id: NO_REQUEST, error: toRecord(error) }
    if (socket.writable) socket.end(`${JSON.stringify(response)}\n`)
    socket.destroySoon()
  }
}

/** Never rejects. */
async function answer(socket: Socket, handlers: ImageHandlers, request: unknown): Promise<void> {
  let response: WireResponse
  const { id, method, params } = Object(request) as Partial<WireRequest>
  const asked = Number.isSafeInteger(id) ? (id as number) : NO_REQUEST
  try {
    if (typeof method !== 'string' || !Object.hasOwn(handlers, method)) {
      throw new ContainerError('USAGE', 'the mounter does not know this request', {
        hint: 'it belongs to another release: stop what uses the image, and start it again'
      })
    }
    const handle = handlers[method] as (params: unknown) => Promise<unknown>
    response = { id: asked, result: (await handle(params)) ?? null }
  } catch (error) {
    response = { id: asked, error: toRecord(error) }
  }
  writeJsonLine(socket, response)
}
