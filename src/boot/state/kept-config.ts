import { existsSync } from 'node:fs'
import { ContainerError } from '../../core/errors.ts'
import { CONTAINER_CONFIG, type ContainerConfig } from './container-record.ts'
import type { ContainerPaths } from './paths.ts'
import { readRecord } from '../../core/json-file.ts'

/** The paths that are looked at. */
type KeptPaths = Pick<ContainerPaths, 'name' | 'config' | 'upper'>

/** The files that are kept of a container. */
export type KeptContainer =
  | { readonly kind: 'none' }
  | { readonly kind: 'config'; readonly config: ContainerConfig }
  /** There are files, and it is not known to which image they belong: never treat this as `none`. */
  | { readonly kind: 'damaged'; readonly error: ContainerError }

/**
 * Reads the record of a container. A record that cannot be read is damaged, not absent, because the files of the
 * container lie beside it.
 */
export async function readKept(paths: KeptPaths): Promise<KeptContainer> {
  const found = await readRecord(paths.config, CONTAINER_CONFIG)
  if (found.kind === 'record') return { kind: 'config', config: found.record }
  if (found.kind === 'absent') {
    return existsSync(paths.upper) ? damaged(paths, 'it is absent') : { kind: 'none' }
  }
  if (found.kind === 'damaged') return damaged(paths, `it ${found.why}`, found.cause)
  return damaged(paths, 'a later release of dat-container wrote it')
}

function damaged({ name, config }: KeptPaths, why: string, cause?: unknown): KeptContainer {
  const setAside = existsSync(config) ? `set it aside (mv ${config} ${config}.damaged), then ` : ''
  return {
    kind: 'damaged',
    error: new ContainerError('IO', `cannot read the record of container ${name}: ${why}`, {
      hint:
        `its files are kept; to restore it, ${setAside}boot it with the link and version ` +
        `that it had: dat-container boot 'LINK@VERSION' -n ${name}; ` +
        `to delete it: dat-container rm ${name}`,
      cause
    })
  }
}
