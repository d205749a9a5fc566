import pino, { type DestinationStream, type Logger } from 'pino'
import { printableJson, withoutSecrets } from '../core/safe-text.ts'

/** Opens the log of a daemon: one JSON object per line, without secrets of links and without control characters. */
export function daemonLog(destination: DestinationStream): Logger {
  return pino(
    {
      level: process.env['DAT_CONTAINER_LOG_LEVEL'] ?? 'info',
      hooks: { streamWrite: (line) => printableJson(withoutSecrets(line)) }
    },
    destination
  )
}
