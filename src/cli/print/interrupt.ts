import { ContainerError } from '../../core/errors.ts'
import { sharedController } from '../../core/abort.ts'

/**
 * Runs `work` with a signal that Ctrl-C and SIGTERM abort, so that it can undo what it began. A
 * second Ctrl-C ends the process at once.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = sharedController()
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(130)
    controller.abort(new ContainerError('CANCELLED', 'interrupted'))
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  try {
    return await work(controller.signal)
  } finally {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}
