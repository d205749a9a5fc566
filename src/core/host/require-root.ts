import { ContainerError } from '../errors.ts'

/** @throws ContainerError `NEEDS_ROOT` */
export function requireRoot(what: string): void {
  if (process.getuid?.() === 0) return
  throw new ContainerError('NEEDS_ROOT', `to ${what} takes root`, {
    hint: 'run it again with sudo'
  })
}
