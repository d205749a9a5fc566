import { readFile } from 'node:fs/promises'
import { runCommand } from '../../core/host/host-command.ts'
import { isOnHost } from '../../core/host/package-manager.ts'
import type { IdRange } from './user-namespace.ts'

/** Services of nsswitch.conf that know no more accounts than the files, or none of people. */
const LOCAL_SERVICES = new Set([
  'files',
  'compat',
  'systemd',
  'mymachines',
  'altfiles',
  'extrausers'
])
const GETENT_LIMIT_MS = 3000
const NUMBER = /^\d+$/

/** Ids of this machine that are not for containers of ours. */
export interface TakenIds {
  readonly ranges: readonly IdRange[]
  /** Whether a directory service (LDAP, say) has an account or group of this id. */
  hasAccount(id: number): Promise<boolean>
}

/** Finds the ids that users and groups have, and those that /etc/subuid and /etc/subgid assign. */
export async function findTaken(): Promise<TakenIds> {
  const [users, groups, subUsers, subGroups, services] = await Promise.all(
    ['passwd', 'group', 'subuid', 'subgid', 'nsswitch.conf'].map(readEtc)
  )
  const isLocal = !isOnHost('getent') || hasOnlyLocal(services ?? '')
  return {
    ranges: [
      ...[users, groups].flatMap((text) => parseRanges(text ?? '', 'id')),
      ...[subUsers, subGroups].flatMap((text) => parseRanges(text ?? '', 'range'))
    ],
    async hasAccount(id) {
      if (isLocal) return false
      const found = await Promise.all(['passwd', 'group'].map((map) => isKnown(map, id)))
      return found.includes(true)
    }
  }
}

/** Tells whether two ranges have an id in common. */
export function overlaps({ base, count }: IdRange, others: readonly IdRange[]): boolean {
  return others.some((other) => base < other.base + other.count && other.base < base + count)
}

/**
 * Parses a file of user or group ids; lines in another form are skipped.
 *
 * @param kind `id` for `name:password:id`, as in passwd and group; `range` for `name:first:count`, as in subuid
 */
export function parseRanges(text: string, kind: 'id' | 'range'): IdRange[] {
  return text.split('\n').flatMap((line) => {
    const [, second = '', third = ''] = line.split(':')
    const [base, count] = kind === 'id' ? [third, '1'] : [second, third]
    if (!NUMBER.test(base) || !NUMBER.test(count)) return []
    return [{ base: Number(base), count: Number(count) }]
  })
}

function hasOnlyLocal(nsswitch: string): boolean {
  return nsswitch.split('\n').every((line) => {
    const [, services = ''] = /^(?:passwd|group):(.*)$/.exec(line) ?? []
    const words = services.replace(/#.*|\[[^\]]*\]/g, '').split(/\s+/)
    return words.every((word) => word === '' || LOCAL_SERVICES.has(word))
  })
}

async function isKnown(map: string, id: number): Promise<boolean> {
  const asking = runCommand('getent', [map, String(id)], { timeoutMs: GETENT_LIMIT_MS })
  // A service that does not answer in time says nothing of ids this high.
  return (await asking.catch(() => ({ exitCode: 2 }))).exitCode === 0
}

async function readEtc(name: string): Promise<string> {
  return readFile(`/etc/${name}`, 'utf8').catch(() => '')
}
