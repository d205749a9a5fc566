import { resolve } from 'node:path'
import { ContainerError } from '../../core/errors.ts'

/** A host file or directory shown in the container. Both paths are absolute. */
export interface Bind {
  readonly source: string
  readonly target: string
  readonly readOnly: boolean
}

const MODES = ['ro', 'rw']
/** `C:\` and `C:/`, whose colon ends no path. */
const DRIVE = /^[a-z]:[\\/]/i

/**
 * Reads what `-v` takes, `SOURCE:TARGET[:ro|rw]`; a relative source is of the working directory.
 *
 * @throws ContainerError `USAGE`
 */
export function parseBind(text: string): Bind {
  const drive = process.platform === 'win32' && DRIVE.test(text) ? text.slice(0, 2) : ''
  const [path = '', target, mode = 'rw', ...rest] = text.slice(drive.length).split(':')
  if (!path || !target?.startsWith('/') || !MODES.includes(mode) || rest.length > 0) {
    throw new ContainerError('USAGE', `not a volume: ${JSON.stringify(text)}`, {
      hint: 'give SOURCE:TARGET or SOURCE:TARGET:ro; TARGET is an absolute path'
    })
  }
  return { source: resolve(drive + path), target, readOnly: mode === 'ro' }
}
