import { ContainerError } from '../errors.ts'

/**
 * Refuses to go on without root.
 *
 * @param what begins the sentence, such as `mounting an image`
 * @throws ContainerError `NEEDS_ROOT`
 */
export function requireRoot(what: string): void {
  if (process.getuid?.() === 0) return
  throw new ContainerError('NEEDS_ROOT', `${what} requires root`, {
    hint: 'run it again with sudo'
  })
}
