import { ContainerError } from '../../core/errors.ts'
import { readTextInRoot } from '../root/rootfs-path.ts'

/** A user of a container, from its own /etc/passwd and /etc/group. */
export interface ContainerUser {
  /** Undefined when the ids were given as numbers and have no name. */
  readonly name: string | undefined
  readonly uid: number
  readonly gid: number
  /** Supplementary groups, the primary one included. */
  readonly groups: readonly number[]
  readonly homeDirectory: string
  readonly shell: string
}

interface PasswdEntry {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly homeDirectory: string
  readonly shell: string
}

const HIGHEST_ID = 2 ** 32 - 2

/**
 * Resolves `user[:group]`, names or numbers, inside the tree at `root`.
 *
 * @throws ContainerError `NOT_FOUND` for a name the tree does not know
 */
export async function resolveUser(root: string, text: string): Promise<ContainerUser> {
  const [userText = '', groupText] = text.split(':')
  const passwd = parsePasswd((await readTextInRoot(root, '/etc/passwd')) ?? '')
  const groups = parseGroups((await readTextInRoot(root, '/etc/group')) ?? '')
  const number = numericId(userText)
  const entry = passwd.find(({ name, uid }) => name === userText || uid === number)
  if (entry === undefined && number === undefined && userText !== 'root') {
    throw new ContainerError('NOT_FOUND', `the container has no user ${JSON.stringify(userText)}`, {
      hint: 'give a name from its /etc/passwd, or a number'
    })
  }
  const gid = groupText === undefined ? (entry?.gid ?? 0) : groupId(groups, groupText)
  const name = entry?.name
  const member = groups.filter(({ members }) => name !== undefined && members.includes(name))
  const supplementary = groupText === undefined ? member.map((group) => group.gid) : []
  return {
    name,
    uid: entry?.uid ?? number ?? 0,
    gid,
    groups: [...new Set([gid, ...supplementary])],
    homeDirectory: entry?.homeDirectory || (number === 0 || userText === 'root' ? '/root' : '/'),
    shell: entry?.shell || '/bin/sh'
  }
}

function groupId(groups: readonly { name: string; gid: number }[], text: string): number {
  const gid = groups.find(({ name }) => name === text)?.gid ?? numericId(text)
  if (gid !== undefined) return gid
  throw new ContainerError('NOT_FOUND', `the container has no group ${JSON.stringify(text)}`, {
    hint: 'give a name from its /etc/group, or a number'
  })
}

function numericId(text: string): number | undefined {
  if (!/^\d+$/.test(text)) return undefined
  const id = Number(text)
  return id <= HIGHEST_ID ? id : undefined
}

function parsePasswd(text: string): PasswdEntry[] {
  return rows(text).flatMap(
    ([name = '', , uid = '', gid = '', , homeDirectory = '', shell = '']) =>
      numericId(uid) === undefined || numericId(gid) === undefined
        ? []
        : [{ name, uid: Number(uid), gid: Number(gid), homeDirectory, shell }]
  )
}

function parseGroups(text: string): { name: string; gid: number; members: string[] }[] {
  return rows(text).flatMap(([name = '', , gid = '', members = '']) =>
    numericId(gid) === undefined ? [] : [{ name, gid: Number(gid), members: members.split(',') }]
  )
}

function rows(text: string): string[][] {
  return text.split('\n').map((line) => line.split(':'))
}
