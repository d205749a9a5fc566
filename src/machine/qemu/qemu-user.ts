import { createHash } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { RANGE_IDS } from '../../boot/ids/id-ranges.ts'
import { hostProgram, isOnHost } from '../../core/host/package-manager.ts'
import type { IdRange } from '../../boot/ids/user-namespace.ts'
import type { GuardPlace } from './loopback-guard.ts'
import type { Accelerator } from '../state/machine-types.ts'

/** Above what systemd and user namespaces take, below what the kernel keeps for itself. */
const FIRST_UID = 1_900_000_000
const UIDS = 2 ** 20
/** After those: ids of QEMUs that have 65,536 each. */
const FIRST_RANGE = FIRST_UID + UIDS
const RANGES = 2 ** 9
/** A published port may be a low one. */
const CAPABILITY = '-all,+net_bind_service'

/**
 * Chooses a user id for the QEMU of one machine that no account and no running process has. `nobody` would be
 * shared with other programs.
 */
export function qemuUid({ homeId, name }: GuardPlace): number {
  const used = usedUids()
  const digest = createHash('sha256').update(`${homeId}/${name}`).digest()
  for (let offset = digest.readUInt32LE() % UIDS; ; offset = (offset + 1) % UIDS) {
    if (!used.has(FIRST_UID + offset)) return FIRST_UID + offset
  }
}

/**
 * Chooses user ids for the QEMU of one machine that serves files of many owners. No running process has them. They
 * never reach a disk, because the mounts map them.
 */
export function qemuRange({ homeId, name }: GuardPlace): IdRange {
  const used = new Set([...usedUids()].map((uid) => Math.floor((uid - FIRST_RANGE) / RANGE_IDS)))
  const digest = createHash('sha256').update(`${homeId}/${name}`).digest()
  for (let range = digest.readUInt32LE() % RANGES; ; range = (range + 1) % RANGES) {
    if (!used.has(range)) return { base: FIRST_RANGE + range * RANGE_IDS, count: RANGE_IDS }
  }
}

function usedUids(): Set<number> {
  const uids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid ?? 0)
  return new Set(uids)
}

/** Tells whether a QEMU can run as another user. */
export function canSwitchUser(): boolean {
  return process.platform === 'linux' && process.getuid?.() === 0 && isOnHost('setpriv')
}

/** Makes the prefix of a command that runs it as a user without privileges, which it cannot regain. */
export function asUser(uid: number, accelerator: Accelerator): string[] {
  const group = acceleratorGroup(accelerator)
  return [
    hostProgram('setpriv'),
    `--reuid=${uid}`,
    `--regid=${uid}`,
    group === undefined ? '--clear-groups' : `--groups=${group}`,
    `--inh-caps=${CAPABILITY}`,
    `--ambient-caps=${CAPABILITY}`,
    `--bounding-set=${CAPABILITY}`,
    '--no-new-privs',
    '--'
  ]
}

/** The capabilities that root of a user namespace keeps, so that it can serve files of all its ids. */
const FILE_CAPABILITIES = '-all,+chown,+dac_override,+dac_read_search,+fowner,+fsetid,+setfcap'

/** Tells whether {@link asNamespaceRoot} works here. */
export function canEnterNamespace(): boolean {
  return canSwitchUser() && isOnHost('nsenter')
}

/**
 * Makes the prefix of a command that runs it as root of a user namespace, which it cannot leave. It can change
 * owners of files whose mount is mapped to that namespace, and is `nobody` to all others.
 *
 * @param descriptor of the user namespace, in the started process
 * @param group of the namespace that it joins, besides 0
 */
export function asNamespaceRoot(descriptor: number, group: number | undefined): string[] {
  return [
    hostProgram('nsenter'),
    `--user=/proc/self/fd/${descriptor}`,
    '--setuid=0',
    '--setgid=0',
    '--',
    hostProgram('setpriv'),
    group === undefined ? '--clear-groups' : `--groups=${group}`,
    '--inh-caps=-all',
    `--bounding-set=${FILE_CAPABILITIES}`,
    '--no-new-privs',
    '--'
  ]
}

/** Finds the group that may use KVM. @returns undefined for another accelerator */
export function acceleratorGroup(accelerator: Accelerator): number | undefined {
  if (accelerator !== 'kvm') return undefined
  return statSync('/dev/kvm', { throwIfNoEntry: false })?.gid
}
