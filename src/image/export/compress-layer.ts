import { once } from 'node:events'
import { createGzip } from 'node:zlib'
import zstd from 'zstd-napi/binding.js'

export type LayerCompression = 'gzip' | 'zstd'

/** Takes a layer's archive piece by piece; gives what it is compressed to as it comes. */
export interface LayerCompressor {
  write(bytes: Uint8Array): Promise<void>
  /** After it, everything was given. */
  end(): Promise<void>
}

const GZIP_LEVEL = 6
const ZSTD_LEVEL = 6
const OUTPUT_BYTES = 128 * 1024

/**
 * Equal archives become equal bytes: neither format's header has a time.
 *
 * @param give takes the next compressed bytes; it is not called again before it is done
 */
export function layerCompressor(
  compression: LayerCompression,
  give: (bytes: Uint8Array) => Promise<void>
): LayerCompressor {
  return compression === 'gzip' ? new GzipCompressor(give) : new ZstdCompressor(give)
}

class GzipCompressor implements LayerCompressor {
  readonly #gzip = createGzip({ level: GZIP_LEVEL, chunkSize: OUTPUT_BYTES })
  readonly #given: Promise<void>

  constructor(give: (bytes: Uint8Array) => Promise<void>) {
    this.#given = this.#giveAll(give)
    // Awaited at the end; a failure meanwhile ends the stream, and so the next write.
    this.#given.catch(() => {})
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#gzip.destroyed) return this.#given
    if (this.#gzip.write(bytes)) return
    await Promise.race([once(this.#gzip, 'drain'), this.#given])
  }

  async end(): Promise<void> {
    this.#gzip.end()
    await this.#given
  }

  async #giveAll(give: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    for await (const piece of this.#gzip as AsyncIterable<Buffer>) await give(piece)
  }
}

class ZstdCompressor implements LayerCompressor {
  readonly #context = new zstd.CCtx()
  readonly #give: (bytes: Uint8Array) => Promise<void>

  constructor(give: (bytes: Uint8Array) => Promise<void>) {
    this.#give = give
    this.#context.setParameter(zstd.CParameter.compressionLevel, ZSTD_LEVEL)
    this.#context.setParameter(zstd.CParameter.checksumFlag, 1)
  }

  async write(bytes: Uint8Array): Promise<void> {
    let input = bytes
    while (input.length > 0) {
      const [, consumed] = await this.#step(input, zstd.EndDirective.continue)
      input = input.subarray(consumed)
    }
  }

  async end(): Promise<void> {
    for (let left = 1; left > 0;) {
      ;[left] = await this.#step(new Uint8Array(0), zstd.EndDirective.end)
    }
  }

  async #step(
    input: Uint8Array,
    directive: zstd.EndDirective
  ): Promise<readonly [left: number, consumed: number]> {
    const output = Buffer.allocUnsafe(OUTPUT_BYTES)
    const [left, produced, consumed] = this.#context.compressStream2(output, input, directive)
    if (produced > 0) await this.#give(output.subarray(0, produced))
    return [left, consumed]
  }
}
