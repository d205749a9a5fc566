import { ContainerError } from '../../core/errors.ts'
import { SYSTEM_CALLS, type Processor } from './system-calls.ts'

/** @throws ContainerError `MISSING_TOOL` on a processor that no programs are made for */
export function thisProcessor(): Processor {
  const { arch } = process
  if (arch in SYSTEM_CALLS) return arch as Processor
  throw new ContainerError('MISSING_TOOL', `exec does not support this processor: ${arch}`, {
    hint: 'x64 and arm64 are supported'
  })
}
