import type { IncomingMessage, ServerResponse } from 'node:http'
import { ContainerError } from '../../core/errors.ts'
import { HttpListener } from '../../core/host/http-listener.ts'
import { formatPeerAddress } from '../../p2p/peer-address.ts'
import { formatUiAddress, type UiAddress } from '../../rpc/ui-address.ts'
import { readPageFiles, type PageFile } from './page-files.ts'
import type { PageToken } from './page-token.ts'
import { pageView, type Observed } from './page-view.ts'
import { whyRefused } from './request-guard.ts'

/** More than a few open pages have. */
const MOST_CONNECTIONS = 32
/** Longer than the path and id of any image. */
const MOST_URL_LENGTH = 512
const VIEW = '/api/view'

/** The page loads nothing from elsewhere, is shown within nothing, and makes no markup of text. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store'
}

export interface PageServerOptions {
  readonly address: UiAddress
  readonly token: PageToken
  readonly observed: Observed
}

/**
 * Serves a page that shows what a daemon has and does, to browsers of this machine. It only tells: no request changes
 * anything. It has no timer, and reads nothing of the store while nobody asks.
 */
export class PageServer implements AsyncDisposable {
  readonly #options: PageServerOptions
  readonly #files: ReadonlyMap<string, PageFile>
  readonly #listener: HttpListener
  /** Views that are being made, by what is asked for: several pages wait for one. */
  readonly #views = new Map<string, Promise<Buffer>>()

  private constructor(
    options: PageServerOptions,
    files: ReadonlyMap<string, PageFile>,
    listener: HttpListener
  ) {
    this.#options = options
    this.#files = files
    this.#listener = listener
  }

  /** @throws ContainerError `IO` where it cannot listen */
  static async open(options: PageServerOptions): Promise<PageServer> {
    const files = await readPageFiles()
    // It is asked only once it listens, and there is a page then.
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      page.#answer(request, response).catch(() => response.writeHead(500, HEADERS).end())
    }
    const { host, port } = options.address
    const listener = await HttpListener.open({
      address: { host, port },
      answer,
      mostConnections: MOST_CONNECTIONS,
      refused: (why, cause) => notServed(options.address, why, cause)
    })
    const page = new PageServer(options, files, listener)
    return page
  }

  /** Where it is served: `http://host:port/`. */
  get url(): string {
    const { address, port } = this.#listener.address
    return `http://${formatPeerAddress({ host: address, port })}/`
  }

  /** {@link url} with the token, as a browser is to get it. What follows the # is not sent by browsers. */
  get urlWithToken(): string {
    return `${this.url}#token=${this.#options.token.text}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener[Symbol.asyncDispose]()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refuse = (status: number, why: string, more = {}): void => {
      response.writeHead(status, { ...HEADERS, 'content-type': 'text/plain', ...more })
      response.end(`${why}\n`)
    }
    const refused = whyRefused(request)
    if (refused !== undefined) return refuse(403, refused)
    const { method, url = '' } = request
    if (method !== 'GET' && method !== 'HEAD') {
      return refuse(405, 'the page only shows', { allow: 'GET, HEAD' })
    }
    if (url.length > MOST_URL_LENGTH) return refuse(414, 'too long')
    const [path = '', query] = url.split('?')
    const file = this.#files.get(path)
    if (file !== undefined) {
      response.writeHead(200, { ...HEADERS, 'content-type': file.type }).end(file.bytes)
      return
    }
    if (path !== VIEW) return refuse(404, 'there is no such page')
    // Not before: which paths there are is no secret, and without a token the page says where to get one.
    if (!this.#options.token.isIn(request.headers.authorization)) {
      return refuse(401, 'run: dat-container daemon ui', { 'www-authenticate': 'Bearer' })
    }
    const view = await this.#view(query ?? '')
    response.writeHead(200, { ...HEADERS, 'content-type': 'application/json' }).end(view)
  }

  #view(query: string): Promise<Buffer> {
    const making = this.#views.get(query)
    if (making !== undefined) return making
    const asked = new URLSearchParams(query)
    const ids = { imageId: asked.get('image'), startId: asked.get('start') }
    const made = pageView(this.#options.observed, ids)
      .then((view) => Buffer.from(JSON.stringify(view)))
      .finally(() => this.#views.delete(query))
    this.#views.set(query, made)
    return made
  }
}

function notServed(address: UiAddress, why: string, cause: unknown): ContainerError {
  return new ContainerError('IO', `cannot serve the page at ${formatUiAddress(address)}: ${why}`, {
    hint: 'give another port, or any for a free one (ui = any), or leave it out',
    cause
  })
}
