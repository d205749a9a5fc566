import { rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { umask } from 'node:process'
import { ContainerError } from '../../core/errors.ts'
import { HttpListener } from '../../core/host/http-listener.ts'
import { formatMetricsAddress, type MetricsAddress } from '../../rpc/metrics-address.ts'
import { daemonMetrics, type Observed } from './daemon-metrics.ts'

/** More at once than a few scrapers is a mistake. */
const MOST_CONNECTIONS = 16
const ONLY_OWN = 0o177

/** Serves the metrics of a daemon over HTTP, as Prometheus reads them, at `/metrics`. */
export class MetricsServer implements AsyncDisposable {
  readonly #listener: HttpListener
  readonly #path: string | undefined

  private constructor(listener: HttpListener, path: string | undefined) {
    this.#listener = listener
    this.#path = path
  }

  /**
   * Listens; a unix socket is for this user alone.
   *
   * @throws ContainerError `IO` where it cannot listen
   */
  static async open(address: MetricsAddress, observed: Observed): Promise<MetricsServer> {
    const metrics = daemonMetrics(observed)
    const tell = async (response: ServerResponse): Promise<void> => {
      const text = await metrics.text()
      response.writeHead(200, { 'content-type': metrics.contentType }).end(text)
    }
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      const isAsked = request.url === '/metrics'
      const isRead = request.method === 'GET' || request.method === 'HEAD'
      if (!isAsked) response.writeHead(404).end('metrics are at /metrics\n')
      else if (!isRead) response.writeHead(405, { allow: 'GET, HEAD' }).end()
      else tell(response).catch(() => response.writeHead(500).end())
    }
    const path = 'path' in address ? address.path : undefined
    // The lock of the home is held: a socket that is there belongs to a daemon that died.
    if (path !== undefined) await rm(path, { force: true })
    const before = umask(ONLY_OWN)
    try {
      const listener = await HttpListener.open({
        address,
        answer,
        mostConnections: MOST_CONNECTIONS,
        refused: (why, cause) => notServed(address, why, cause)
      })
      return new MetricsServer(listener, path)
    } finally {
      umask(before)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener[Symbol.asyncDispose]()
    if (this.#path !== undefined) await rm(this.#path, { force: true })
  }
}

function notServed(address: MetricsAddress, why: string, cause: unknown): ContainerError {
  const where = formatMetricsAddress(address)
  return new ContainerError('IO', `cannot serve metrics at ${where}: ${why}`, {
    hint: 'give another address (metrics = [host:]port or a path), or leave it out',
    cause
  })
}
