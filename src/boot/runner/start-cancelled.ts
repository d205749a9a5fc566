import { ContainerError } from '../../core/errors.ts'

/**
 * The error of a start that was called off.
 *
 * @param ran name for the container, when its PID 1 had been started
 * @param isKept whether it keeps what it wrote
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
