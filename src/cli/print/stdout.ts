import { ContainerError, systemErrorCode } from '../../core/errors.ts'

/** Nobody reads standard output any more, as with `| head`: no failure, but there is nothing left to do. */
export class ReaderGone extends Error {
  override readonly name = 'ReaderGone'
}

let isWatched = false

/**
 * Writes to standard output, as fast as it is read, and returns when that is done.
 *
 * @throws ReaderGone; the signal's reason; ContainerError `DISK_FULL` or `IO` for what is wrong with the output
 */
export async function writeStdout(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  watch()
  signal.throwIfAborted()
  let stop = (): void => {}
  try {
    await new Promise<void>((resolve, reject) => {
      stop = () => reject(signal.reason as Error)
      signal.addEventListener('abort', stop, { once: true })
      process.stdout.write(bytes, (error) => {
        if (error) reject(error)
        else resolve()
      })
    })
  } catch (error) {
    if (error instanceof ContainerError) throw error
    const code = systemErrorCode(error)
    if (code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED') throw new ReaderGone()
    throw code === undefined ? error : outputError(error, code)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** What is said where standard output, or the file that it is redirected to, takes no more. */
export function outputError(cause: unknown, code: string): ContainerError {
  const isFull = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
  return new ContainerError(
    isFull ? 'DISK_FULL' : 'IO',
    `cannot write to standard output: ${code}`,
    {
      hint: isFull ? 'make room where it is redirected to' : 'check where it is redirected to',
      cause
    }
  )
}

/** The stream tells of errors as events, too, which would have no listener. */
function watch(): void {
  if (isWatched) return
  isWatched = true
  process.stdout.on('error', () => {})
}
