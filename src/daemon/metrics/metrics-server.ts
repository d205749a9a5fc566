import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { umask } from 'node:process'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { formatMetricsAddress, type MetricsAddress } from '../../rpc/metrics-address.ts'
import { daemonMetrics, type Observed } from './daemon-metrics.ts'

/** Asking takes no longer; more at once than a few scrapers is a mistake. */
const REQUEST_TIMEOUT_MS = 5_000
const MOST_CONNECTIONS = 16
const ONLY_OWN = 0o177

/** Serves the metrics of a daemon over HTTP, as Prometheus reads them, at `/metrics`. */
export class MetricsServer implements AsyncDisposable {
  readonly #server: Server
  readonly #path: string | undefined

  private constructor(server: Server, path: string | undefined) {
    this.#server = server
    this.#path = path
  }

  /**
   * Listens; a unix socket is for this user alone.
   *
   * @throws ContainerError `IO` where it cannot listen
   */
  static async open(address: MetricsAddress, observed: Observed): Promise<MetricsServer> {
    const metrics = daemonMetrics(observed)
    const answer = async (response: ServerResponse): Promise<void> => {
      const text = await metrics.text()
      response.writeHead(200, { 'content-type': metrics.contentType }).end(text)
    }
    const server = createServer((request, response) => {
      const isAsked = request.url === '/metrics'
      const isRead = request.method === 'GET' || request.method === 'HEAD'
      if (!isAsked) response.writeHead(404).end('metrics are at /metrics\n')
      else if (!isRead) response.writeHead(405, { allow: 'GET, HEAD' }).end()
      else answer(response).catch(() => response.writeHead(500).end())
    })
    server.maxConnections = MOST_CONNECTIONS
    server.requestTimeout = REQUEST_TIMEOUT_MS
    server.headersTimeout = REQUEST_TIMEOUT_MS
    const path = 'path' in address ? address.path : undefined
    // The lock of the home is held: a socket that is there belongs to a daemon that died.
    if (path !== undefined) await rm(path, { force: true })
    const before = umask(ONLY_OWN)
    try {
      server.listen(address)
      await once(server, 'listening')
    } catch (cause) {
      const where = formatMetricsAddress(address)
      const why = systemErrorCode(cause) ?? String(cause)
      throw new ContainerError('IO', `cannot serve metrics at ${where}: ${why}`, {
        hint: 'give another address (metrics = [host:]port or a path), or leave it out',
        cause
      })
    } finally {
      umask(before)
    }
    return new MetricsServer(server, path)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
    if (this.#path !== undefined) await rm(this.#path, { force: true })
  }
}
