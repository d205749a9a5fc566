import { ContainerError } from '../../core/errors.ts'

/**
 * Makes the error of a start that was cancelled.
 *
 * @param ran name of the container, if its PID 1 was started
 * @param isKept whether it keeps its files
 */
export function startCancelled(ran?: string, isKept = false): ContainerError {
  if (ran === undefined) {
    return new ContainerError('CANCELLED', 'cancelled before the container ran')
  }
  const message = `container ${ran} was stopped while it started: it ran, but was not ready`
  return new ContainerError('CANCELLED', message, {
    hint: isKept
      ? `what it wrote is kept: dat-container boot IMAGE -n ${ran} starts it again, dat-container rm ${ran} deletes it`
      : 'its writes are gone with it'
  })
}
