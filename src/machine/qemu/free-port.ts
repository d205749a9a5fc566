import { createServer } from 'node:net'
import { LOOPBACK } from '../state/port-forward.ts'

/**
 * Finds a TCP port of this machine's loopback that is free at the moment.
 *
 * @param preferred taken if it is free
 */
export async function freePort(preferred?: number): Promise<number> {
  const port = preferred === undefined ? undefined : await tryPort(preferred)
  return port ?? (await tryPort(0)) ?? freePort()
}

function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen(port, LOOPBACK, () => {
      const address = server.address()
      server.close(() =>
        resolve(typeof address === 'object' && address !== null ? address.port : undefined)
      )
    })
  })
}
