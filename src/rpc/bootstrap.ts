import { isIP } from 'node:net'
import { ContainerError } from '../core/errors.ts'

/** Environment variable that names a private DHT for every process that is started from here. */
export const BOOTSTRAP_VARIABLE = 'DAT_CONTAINER_BOOTSTRAP'

/**
 * Reads `host:port,host:port`; undefined or empty means the public DHT.
 *
 * @throws ContainerError `USAGE`
 */
export function parseBootstrap(text: string | undefined): readonly string[] | undefined {
  const nodes = (text ?? '')
    .split(',')
    .map((node) => node.trim())
    .filter((node) => node !== '')
  if (nodes.length === 0) return undefined
  for (const node of nodes) {
    const at = node.lastIndexOf(':')
    const host = node.slice(0, at)
    const port = Number(node.slice(at + 1))
    const validHost = isIP(host) === 4 || /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(host)
    if (at < 1 || !validHost || !Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new ContainerError('USAGE', `not a bootstrap node: ${JSON.stringify(node)}`, {
        hint: 'give host:port, or several separated by commas: --bootstrap 10.0.0.1:49737,10.0.0.2:49737'
      })
    }
  }
  return nodes
}

/** Nodes as `--bootstrap` takes them. */
export function formatBootstrap(nodes: readonly string[]): string {
  return nodes.join(',')
}
