import { ContainerError, isContainerError } from '../../core/errors.ts'
import { oneLine } from '../tar/tar-error.ts'

/** The error of everything that is wrong with a container image. One line, whatever is in the image. */
export function badImage(message: string, hint?: string, cause?: unknown): ContainerError {
  return new ContainerError('BAD_SOURCE', `bad image: ${oneLine(message)}`, {
    hint: hint ?? 'the image is damaged or incomplete; make or fetch it again',
    ...(cause === undefined ? {} : { cause })
  })
}

/** What is wrong with a layer, as a fault of the image that has it; any other error as it is. */
export function layerError(error: unknown, layer: string, path: string): unknown {
  if (!isContainerError(error, 'BAD_SOURCE', 'BAD_INDEX')) return error
  if (error.message.startsWith('bad image: ')) return error
  const inside = error.message.replace(/^.*?: /, '')
  const where = error.code === 'BAD_INDEX' ? `${layer}, ${path}` : layer
  return badImage(`${where}: ${inside}`, error.hint, error)
}
