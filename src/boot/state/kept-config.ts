import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { CONTAINER_CONFIG, type ContainerConfig } from './container-record.ts'
import type { ContainerPaths } from './paths.ts'
import { decodeRecord } from '../../core/record-format.ts'

/** The paths that are looked at. */
type KeptPaths = Pick<ContainerPaths, 'name' | 'config' | 'upper'>

/** What is on disk of a container that is not there by its runner alone. */
export type KeptContainer =
  | { readonly kind: 'none' }
  | { readonly kind: 'config'; readonly config: ContainerConfig }
  /** Something was kept, and it cannot be told of which image: never to be taken for nothing. */
  | { readonly kind: 'damaged'; readonly error: ContainerError }

/**
 * Reads what is kept of a container. A record that cannot be read is not an absent one: what the
 * container wrote stands beside it.
 */
export async function readKept(paths: KeptPaths): Promise<KeptContainer> {
  let text: string
  try {
    text = await readFile(paths.config, 'utf8')
  } catch (error) {
    const code = systemErrorCode(error)
    if (code !== 'ENOENT' && code !== 'ENOTDIR') return damaged(paths, `${code}`, error)
    return existsSync(paths.upper) ? damaged(paths, 'it is absent') : { kind: 'none' }
  }
  const decoded = decodeRecord(text, CONTAINER_CONFIG)
  if (decoded.kind === 'record') return { kind: 'config', config: decoded.record }
  if (decoded.kind === 'damaged') return damaged(paths, `it ${decoded.why}`, decoded.cause)
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
