import NoiseSecretStream from '@hyperswarm/secret-stream'
import { replaceMethod } from '../library-seams.ts'

/** Bytes of a frame's length, little-endian. */
const HEAD_BYTES = 3

/** What a stream has received, and what it may. */
interface Followed {
  received: number
  /** State of the frame that is arriving: how many bytes of its length are here, and what they say. */
  headBytes: number
  length: number
  /** Bytes of it that have not arrived. */
  missing: number
  limit: FrameLimit | undefined
}

/** Looks at what arrives on a connection before any of it is kept. */
export interface FrameLimit {
  /**
   * A frame begins, or goes on.
   *
   * @param frameBytes how long the frame says that it is
   * @param receivedBytes of the connection so far, heads included
   * @returns whether the connection may go on
   */
  allows(frameBytes: number, receivedBytes: number): boolean
}

const followed = new WeakMap<object, Followed>()

// secret-stream takes each length up to 16 MiB and makes room for it at once, and has no switch for that. Whatever
// receives, hyperswarm's streams too, is followed from its first byte on.
replaceMethod('NoiseSecretStream._onrawdata', NoiseSecretStream.prototype, (usual) => {
  return function (this: NoiseSecretStream, data: Buffer): void {
    if (mayGoOn(followedOf(this), data)) usual.call(this, data)
    else this.destroy(new Error('the peer sent more than allowed'))
  }
})

/**
 * Bounds what a connection may send: where a limit says no, the connection ends before the frame is kept.
 *
 * @param limit undefined for none; takes the place of the one before
 */
export function limitFrames(connection: object, limit: FrameLimit | undefined): void {
  followedOf(connection).limit = limit
}

function followedOf(connection: object): Followed {
  const known = followed.get(connection)
  if (known) return known
  const made: Followed = { received: 0, headBytes: 0, length: 0, missing: 0, limit: undefined }
  followed.set(connection, made)
  return made
}

function mayGoOn(state: Followed, data: Buffer): boolean {
  for (let at = 0; at < data.length;) {
    if (state.missing === 0) {
      state.length += (data[at++] ?? 0) * 256 ** state.headBytes
      state.received++
      if (++state.headBytes < HEAD_BYTES) continue
      state.missing = state.length
      state.headBytes = 0
    }
    const here = Math.min(state.missing, data.length - at)
    at += here
    state.missing -= here
    state.received += here
    if (state.limit?.allows(state.length, state.received) === false) return false
    if (state.missing === 0) state.length = 0
  }
  return true
}
