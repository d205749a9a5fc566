import { ContainerError } from './errors.ts'

/** @throws ContainerError `CANCELLED` once the signal has been given */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new ContainerError('CANCELLED', 'cancelled', { cause: signal.reason })
}
