import { monotonicMs } from '../../core/monotonic-clock.ts'
import { unreachable } from '../../core/abort.ts'
import type { Output } from './output.ts'

/** Nothing coming for so long is worth a line. */
const SILENT_MS = 3_000
const DEFAULT_LIMIT_MS = 30_000

interface PullState {
  readonly bytes: number
  readonly imageBytes: number
  readonly peers: number
}

/** Reports a pull that receives nothing, and ends it if that lasts: the connected peers do not have the rest. */
export class PullSilence {
  readonly #output: Output
  readonly #limitMs: number
  #bytes = -1
  #sinceMs = monotonicMs()
  #told = false

  constructor(
    output: Output,
    { peerTimeout = DEFAULT_LIMIT_MS }: { readonly peerTimeout?: number }
  ) {
    this.#output = output
    this.#limitMs = peerTimeout
  }

  /** @throws ContainerError `PEERS_UNREACHABLE` once nothing came for the time-out */
  look({ bytes, imageBytes, peers }: PullState): void {
    const nowMs = monotonicMs()
    if (bytes !== this.#bytes) {
      this.#bytes = bytes
      this.#sinceMs = nowMs
      this.#told = false
    }
    const silentMs = nowMs - this.#sinceMs
    if (bytes >= imageBytes) return
    if (silentMs >= this.#limitMs) throw unreachable('more of this image', this.#limitMs)
    if (this.#told || silentMs < SILENT_MS) return
    this.#told = true
    const percent = imageBytes === 0 ? 0 : Math.floor((100 * bytes) / imageBytes)
    this.#output.note(
      `no progress: ${peers} peers are connected and ${percent} % is here; waiting for more peers`
    )
  }
}
