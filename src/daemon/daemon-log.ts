import pino, { type DestinationStream, type Logger } from 'pino'
import { printableJson, withoutSecrets } from '../core/safe-text.ts'

/** The log of a daemon: JSON, a line each, in which no link can be read and nothing drives a terminal. */
export function daemonLog(destination: DestinationStream): Logger {
  return pino(
    {
      level: process.env['DAT_CONTAINER_LOG_LEVEL'] ?? 'info',
      hooks: { streamWrite: (line) => printableJson(withoutSecrets(line)) }
    },
    destination
  )
}
