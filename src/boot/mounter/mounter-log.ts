import type { Logger } from 'pino'
import type { HomePaths } from '../../home/home.ts'

/**
 * Opens the log that mounters write to: the daemon's log. Each line is one write, so lines of several processes do
 * not mix. Loaded when first needed.
 */
export async function openMounterLog(
  { daemonLog }: HomePaths,
  image: { readonly name: string; readonly version: number }
): Promise<Logger> {
  const { default: pino } = await import('pino')
  const level = process.env['DAT_CONTAINER_LOG_LEVEL'] ?? 'info'
  const destination = pino.destination({ dest: daemonLog, append: true, sync: true, mode: 0o600 })
  // A log that cannot be written must not end the mount.
  destination.on('error', () => {})
  return pino({ level, name: 'mounter' }, destination).child({
    image: `${image.name}@${image.version}`
  })
}
