/** The unit of the daemon that systemd runs, its user and group, and what belongs to it. */
export const SERVICE = {
  unit: 'dat-container.service',
  /** In the journal. */
  identifier: 'dat-container',
  user: 'dat-container',
  unitFile: '/etc/systemd/system/dat-container.service',
  config: '/etc/dat-container-daemon.conf',
  /** Below /var/lib, /run: systemd makes them for the unit. */
  directory: 'dat-container-daemon',
  home: '/var/lib/dat-container-daemon',
  runtime: '/run/dat-container-daemon',
  socket: '/run/dat-container-daemon/daemon.sock'
} as const
