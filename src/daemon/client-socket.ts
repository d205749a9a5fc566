import { rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { umask } from 'node:process'
import { ContainerError } from '../core/errors.ts'

/** Whom the mode of a socket lets in: its user, or its user and its group. */
const CLOSED_TO = { user: 0o177, group: 0o117 } as const

/** A socket at which clients of a daemon come in. */
export class ClientSocket {
  readonly path: string
  readonly #server: Server

  private constructor(path: string, server: Server) {
    this.path = path
    this.#server = server
  }

  /**
   * Listens at `path`. The caller holds the lock of the home, so that a socket that is there belongs to a daemon that died.
   *
   * @throws ContainerError `IO`
   */
  static async listen(
    path: string,
    isFor: keyof typeof CLOSED_TO,
    accept: (socket: Socket) => void
  ): Promise<ClientSocket> {
    const server = createServer(accept)
    if (process.platform !== 'win32') await rm(path, { force: true })
    const before = umask(CLOSED_TO[isFor])
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(path, resolve)
      })
    } catch (cause) {
      throw new ContainerError('IO', `cannot listen on ${path}`, { cause })
    } finally {
      umask(before)
    }
    return new ClientSocket(path, server)
  }

  /** Takes nobody any more. @returns resolves when all who had come are gone, and the socket too */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
    // Its absence tells clients that the daemon was stopped on purpose and did not die.
    if (process.platform !== 'win32') await rm(this.path, { force: true })
  }
}
