import { ContainerError } from '../image/errors.ts'

/**
 * The error of a start that was called off.
 *
 * @param kept name of the container, when it had been started and keeps what it wrote
 */
export function startCancelled(kept?: string): ContainerError {
  if (kept === undefined) {
    return new ContainerError('CANCELLED', 'cancelled before the container ran')
  }
  return new ContainerError('CANCELLED', `container ${kept} was stopped before it was ready`, {
    hint: `what it wrote is kept; to delete it: dat-container rm ${kept}`
  })
}
