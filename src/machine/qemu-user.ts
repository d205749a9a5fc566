import { createHash } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { hostProgram, isOnHost } from '../boot/package-manager.ts'
import type { GuardPlace } from './loopback-guard.ts'
import type { Accelerator } from './qemu-plan.ts'

/** Above what systemd and user namespaces take, below what the kernel keeps for itself. */
const FIRST_UID = 1_900_000_000
const UIDS = 2 ** 20
/** A published port may be a low one. */
const CAPABILITY = '-all,+net_bind_service'

/**
 * A user id for the QEMU of one machine: no account's, and no running process's. `nobody` is shared with
 * whatever else runs so.
 */
export function qemuUid({ homeId, name }: GuardPlace): number {
  const used = usedUids()
  const digest = createHash('sha256').update(`${homeId}/${name}`).digest()
  for (let offset = digest.readUInt32LE() % UIDS; ; offset = (offset + 1) % UIDS) {
    if (!used.has(FIRST_UID + offset)) return FIRST_UID + offset
  }
}

function usedUids(): Set<number> {
  const uids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid ?? 0)
  return new Set(uids)
}

/** Whether a QEMU can be another user than we are. */
export function canSwitchUser(): boolean {
  return process.platform === 'linux' && process.getuid?.() === 0 && isOnHost('setpriv')
}

/** What goes before a command so that it runs as a user with next to no privilege, for good. */
export function asUser(uid: number, accelerator: Accelerator): string[] {
  const group = accelerator === 'kvm' ? kvmGroup() : undefined
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

/** The group that may use KVM, where that is not everybody. */
function kvmGroup(): number | undefined {
  return statSync('/dev/kvm', { throwIfNoEntry: false })?.gid
}
