import { once } from 'node:events'
import { systemErrorCode } from '../../core/errors.ts'

/** Nobody reads standard output any more, as with `| head`: no failure, but there is nothing left to do. */
export class ReaderGone extends Error {
  override readonly name = 'ReaderGone'
}

let isGone = false
let isWatched = false

/**
 * Writes to standard output, as fast as it is read.
 *
 * @throws ReaderGone; the signal's reason; what is wrong with the output
 */
export async function writeStdout(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  watch()
  if (isGone) throw new ReaderGone()
  try {
    if (!process.stdout.write(bytes)) await once(process.stdout, 'drain', { signal })
  } catch (error) {
    throw systemErrorCode(error) === 'EPIPE' ? new ReaderGone() : error
  }
}

/** An error between two writes would have no listener. */
function watch(): void {
  if (isWatched) return
  isWatched = true
  process.stdout.on('error', (error) => {
    if (systemErrorCode(error) !== 'EPIPE') throw error
    isGone = true
  })
}
