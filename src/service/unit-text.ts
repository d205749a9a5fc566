import { SERVICE } from './service-paths.ts'

/** Begins each file that an installation wrote, so that no other is replaced. */
export const MARK = '# Written by `dat-container daemon install`.'

/** What the unit runs: absolute paths. */
export interface ServiceProgram {
  readonly node: string
  readonly main: string
  /** Flags of Node.js for a daemon. */
  readonly flags: readonly string[]
}

/**
 * Writes the unit of a daemon for the members of a group. It runs as a user of its own, may write only to its home and
 * runtime directory, and has no capability.
 */
export function unitText({ node, main, flags }: ServiceProgram): string {
  const { identifier, user, directory, home, runtime, config, socket } = SERVICE
  const run = [node, ...flags, main, 'daemon', 'run', '--group-socket', socket]
  const reload = [node, main, 'daemon', 'reload']
  return `${MARK}
# To change something, use \`systemctl edit dat-container\`: the next installation writes this file again.
[Unit]
Description=dat-container: stores, seeds and fetches images
Documentation=man:dat-container-daemon(1)
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStart=${commandLine(run)}
ExecReload=${commandLine(reload)}
Restart=on-failure
RestartSec=2s
# A configuration that is wrong stays wrong.
RestartPreventExitStatus=2
TimeoutStartSec=120s
TimeoutStopSec=60s
SyslogIdentifier=${identifier}

User=${user}
Group=${user}
UMask=0077
StateDirectory=${directory}
StateDirectoryMode=0700
RuntimeDirectory=${directory}
# Members of the group get to the socket; what is private has a directory of its own below.
RuntimeDirectoryMode=0750
Environment=DAT_CONTAINER_CONFIG=${config}
Environment=DAT_CONTAINER_HOME=${home}
Environment=DAT_CONTAINER_RUNTIME_DIR=${runtime}/private
Environment=MALLOC_ARENA_MAX=2

MemoryMax=1G
MemorySwapMax=0
LimitNOFILE=65536
TasksMax=256
OOMPolicy=stop

CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateIPC=yes
RemoveIPC=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
KeyringMode=private
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
# Netlink: to know this machine's networks.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
# Not MemoryDenyWriteExecute and not PrivateUsers: Node.js compiles while it runs, and the daemon
# checks that root owns the directories above its own.

[Install]
WantedBy=multi-user.target
`
}

/** Quotes words as systemd reads them in a command line (systemd.service(5)). */
function commandLine(words: readonly string[]): string {
  return words.map(quoted).join(' ')
}

function quoted(word: string): string {
  const text = word.replaceAll('%', '%%').replaceAll('$', '$$$$')
  if (/^[\w%$@:=,./+-]+$/.test(text)) return text
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
