import { ContainerError } from '../../core/errors.ts'
import { SYSTEM_CALLS, type Processor } from './system-calls.ts'

/**
 * Names the processor architecture for which entry programs are made on this machine.
 *
 * @throws ContainerError `MISSING_TOOL` for an architecture without support
 */
export function thisProcessor(): Processor {
  const { arch } = process
  if (arch in SYSTEM_CALLS) return arch as Processor
  throw new ContainerError('MISSING_TOOL', `exec does not support this processor: ${arch}`, {
    hint: 'x64 and arm64 are supported'
  })
}
