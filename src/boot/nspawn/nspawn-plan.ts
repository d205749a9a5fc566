import { createHash } from 'node:crypto'
import type { Bind } from '../state/bind-option.ts'
import type { ConsoleMode } from '../console/console-stdio.ts'
import type { NetworkMode } from '../state/boot-options.ts'
import type { IdRange } from '../ids/user-namespace.ts'

/** What runs in the container. */
export type Payload =
  | { readonly mode: 'boot' }
  | {
      readonly mode: 'process'
      readonly argv: readonly string[]
      readonly cwd?: string
      /** A name for the container's /etc/passwd: systemd-nspawn takes no number. */
      readonly user?: string
      /** Files that `argv` needs besides the container's own. */
      readonly binds?: readonly Bind[]
    }

export interface NspawnOptions {
  /** Host path of the container's root. */
  readonly root: string
  readonly machine: string
  readonly hostname: string
  readonly payload: Payload
  readonly console: ConsoleMode
  /** `NAME=value`. */
  readonly env?: readonly string[]
  /** The variables that nspawn has in its own environment; see {@link passedEnvironment}. */
  readonly passed?: Readonly<Record<string, string>>
  /** @default 'host' */
  readonly network?: NetworkMode
  readonly binds?: readonly Bind[]
  /** With or without `CAP_`; `all` is understood. */
  readonly capAdd?: readonly string[]
  readonly capDrop?: readonly string[]
  readonly readOnly?: boolean
  /** The host's ids that the container's are; the root's files belong to them. @default the same ids */
  readonly idRange?: IdRange | undefined
  /** Directories of the container that get an empty file system of their own, in memory. */
  readonly tmpfs?: readonly string[]
  /** Leave the container's /etc/resolv.conf alone. @default false: nspawn gives it this machine's */
  readonly keepResolvConf?: boolean
  /** Every capability; `PRIVILEGED_ENVIRONMENT` goes with it. @default false */
  readonly privileged?: boolean
  readonly extraArgs?: readonly string[]
}

/** Longest machine name systemd accepts. */
const HIGHEST_MACHINE_LENGTH = 64
/** All of Linux, which has added none since 5.9. */
const CAPABILITIES = (
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE ' +
  'NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN ' +
  'SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE ' +
  'MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
)
  .split(' ')
  .map((name) => `CAP_${name}`)
const MAKE_NODES = 'CAP_MKNOD'
/** The signal by which systemd as PID 1 powers off in order. */
export const POWEROFF_SIGNAL = 'SIGRTMIN+3'

/**
 * Plans the command line of systemd-nspawn for one container; pure. The caller puts it in a cgroup of its own
 * (`--keep-unit` stays in it) and does not register it with systemd-machined (`--register=no`), so it works the
 * same with and without systemd as the host's PID 1.
 */
export function planNspawn(options: NspawnOptions): string[] {
  const { payload, network = 'host', extraArgs = [], capAdd } = options
  return [
    'systemd-nspawn',
    '--quiet',
    '--settings=no',
    '--register=no',
    '--keep-unit',
    '--link-journal=no',
    '--timezone=off',
    `--directory=${options.root}`,
    `--machine=${options.machine}`,
    `--hostname=${options.hostname}`,
    `--console=${options.console}`,
    ...(options.readOnly === true ? ['--read-only'] : []),
    ...(options.keepResolvConf === true ? ['--resolv-conf=off'] : []),
    ...(network === 'host' ? [] : ['--private-network']),
    ...userNamespace(options.idRange),
    ...(payload.mode === 'process' ? (payload.binds ?? []) : []).map(bindArgument),
    ...(options.binds ?? []).map(bindArgument),
    ...(options.tmpfs ?? []).map((path) => `--tmpfs=${escapeColons(path)}:mode=0755`),
    ...(options.env ?? []).map(
      (variable) => `--setenv=${argumentFor(variable, options.passed ?? {})}`
    ),
    ...capabilities('--capability', options.privileged === true ? ['all'] : capAdd),
    ...capabilities('--drop-capability', droppedCapabilities(options)),
    ...payloadArguments(payload, extraArgs)
  ]
}

/** Names that mean something to nspawn itself, to what starts it, or to the libraries of both. */
const OWN_VARIABLE =
  /^(PATH|TERM|LANG|LANGUAGE|LC_.*|LD_.*|HOME|ENV|IFS|PS[124]|SYSTEMD_.*|NOTIFY_SOCKET|WATCHDOG_.*|LISTEN_.*|BASH.*|SHELLOPTS|DBUS_.*|XDG_.*|TMPDIR|TZ|TZDIR|LOCPATH|NLSPATH|GCONV_PATH|GETCONF_DIR|GLIBC_.*|MALLOC_.*|RES_OPTIONS|HOSTALIASES|LOCALDOMAIN|OPENSSL_.*|SSL_.*|P11_.*|container)$/
const IDENTIFIER = /^[A-Za-z_]\w*$/

/**
 * Selects the variables that reach the container through nspawn's own environment, because every user of the
 * machine can read an argument list. The argument list has their names only. Only variables given with the command
 * go this way: those of an image must not be in the environment of a program that runs as root.
 *
 * @param env all variables of the container, `NAME=value`; later ones win
 * @param given those given with the command, as `NAME=value` or `NAME`
 */
export function passedEnvironment(
  env: readonly string[],
  given: readonly string[]
): Record<string, string> {
  const names = new Set(given.map(nameOf))
  return Object.fromEntries(
    env
      .filter((variable) => names.has(nameOf(variable)) && isPassable(nameOf(variable)))
      .map((variable) => [nameOf(variable), variable.slice(nameOf(variable).length + 1)])
  )
}

function argumentFor(variable: string, passed: Readonly<Record<string, string>>): string {
  const name = nameOf(variable)
  return Object.hasOwn(passed, name) ? name : variable
}

function nameOf(variable: string): string {
  return variable.split('=', 1)[0] ?? ''
}

function isPassable(name: string): boolean {
  return IDENTIFIER.test(name) && !OWN_VARIABLE.test(name)
}

function payloadArguments(payload: Payload, extraArgs: readonly string[]): string[] {
  if (payload.mode === 'boot') {
    return ['--boot', '--notify-ready=yes', `--kill-signal=${POWEROFF_SIGNAL}`, ...extraArgs]
  }
  return [
    // PID 1 is nspawn's own little init: it reaps, and signals have their usual meaning for PID 2.
    '--as-pid2',
    ...(payload.cwd === undefined ? [] : [`--chdir=${payload.cwd}`]),
    ...(payload.user === undefined ? [] : [`--user=${payload.user}`]),
    ...extraArgs,
    '--',
    ...payload.argv
  ]
}

function bindArgument({ source, target, readOnly }: Bind): string {
  return `--bind${readOnly ? '-ro' : ''}=${escapeColons(source)}:${escapeColons(target)}`
}

function escapeColons(path: string): string {
  return path.replace(/[\\:]/g, (character) => `\\${character}`)
}

function userNamespace(range: IdRange | undefined): string[] {
  if (range === undefined) return []
  return [`--private-users=${range.base}:${range.count}`, '--private-users-ownership=off']
}

/** Creating device nodes would give access to the host's disks, so this capability is granted only on request. */
function droppedCapabilities({ privileged, capAdd = [], capDrop = [] }: NspawnOptions): string[] {
  const added = capAdd.map(capabilityName)
  const keepsNodes = privileged === true || added.includes('all') || added.includes(MAKE_NODES)
  const dropped = capDrop.map(capabilityName)
  // systemd-nspawn drops what is named by both: all but those that are asked for are named.
  if (dropped.includes('all') && added.length > 0) {
    return added.includes('all') ? [] : CAPABILITIES.filter((name) => !added.includes(name))
  }
  return keepsNodes || dropped.includes('all') ? dropped : [...new Set([...dropped, MAKE_NODES])]
}

function capabilities(flag: string, names: readonly string[] = []): string[] {
  return names.length === 0 ? [] : [`${flag}=${names.map(capabilityName).join(',')}`]
}

function capabilityName(name: string): string {
  const upper = name.toUpperCase()
  return upper === 'ALL' ? 'all' : upper.startsWith('CAP_') ? upper : `CAP_${upper}`
}

/** No filter of system calls, and /proc/sys and /sys as on the host. */
export const PRIVILEGED_ENVIRONMENT: Readonly<Record<string, string>> = {
  SYSTEMD_SECCOMP: '0',
  SYSTEMD_NSPAWN_API_VFS_WRITABLE: '1'
}

/** Tells whether the user's own arguments for nspawn set user ids. This program then leaves them alone. */
export function hasOwnUserArguments(nspawnArgs: readonly string[]): boolean {
  return nspawnArgs.some((argument) => /^(--private-users|-U)/.test(argument))
}

/** Makes a machine name that is unique among all homes and short enough for systemd. */
export function machineName(name: string, homeId: string): string {
  const full = `${name}-${homeId}`
  if (full.length <= HIGHEST_MACHINE_LENGTH) return full
  return `${createHash('sha256').update(name).digest('hex').slice(0, 20)}-${homeId}`
}
