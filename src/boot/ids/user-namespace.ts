import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readlink, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { ContainerError } from '../../core/errors.ts'
import { missingTool } from '../../core/host/host-command.ts'
import { hostProgram, isOnHost } from '../../core/host/package-manager.ts'
import * as v from 'valibot'
import { count, type Shape } from '../../core/record-format.ts'

/** User and group ids of the host that are a container's, beginning with its 0. */
export interface IdRange {
  readonly base: number
  readonly count: number
}

/** The shape of an {@link IdRange} in a file. */
export const idRange: Shape<IdRange> = v.looseObject({ base: count, count })

/** Converts an id in a container to the id on the host. */
export function hostId(id: number, range: IdRange | undefined): number {
  return (range?.base ?? 0) + id
}

/** A user namespace that no process is in, as mounts are mapped by. */
export interface UserNamespace extends AsyncDisposable {
  readonly fd: number
}

const POLL_MS = 1
const LIMIT_MS = 5000

/**
 * Makes a user namespace whose ids from 0 on are those of `range`. A process makes it, as one with
 * several threads cannot, and goes; the descriptor keeps it.
 *
 * @param group a group of the host that it has besides, as the id after the range
 * @throws ContainerError `MISSING_TOOL` where the kernel has no user namespaces or allows no more
 */
export async function openUserNamespace(range: IdRange, group?: number): Promise<UserNamespace> {
  if (!isOnHost('unshare')) throw await missingTool('unshare')
  // cat waits on its standard input until it is no longer needed.
  const argv = ['--user', '--', hostProgram('cat')]
  const child = spawn(hostProgram('unshare'), argv, { stdio: ['pipe', 'ignore', 'ignore'] })
  child.on('error', () => {})
  const ended = once(child, 'close')
  try {
    await untilInOwn(child)
    const map = `0 ${range.base} ${range.count}\n`
    const further = group === undefined ? '' : `${range.count} ${group} 1\n`
    await writeFile(`/proc/${child.pid}/uid_map`, map)
    await writeFile(`/proc/${child.pid}/gid_map`, map + further)
    const file = await open(`/proc/${child.pid}/ns/user`, 'r')
    return { fd: file.fd, [Symbol.asyncDispose]: () => file.close() }
  } finally {
    child.stdin.end()
    await ended
  }
}

async function untilInOwn(child: ReturnType<typeof spawn>): Promise<void> {
  const own = await readlink('/proc/self/ns/user')
  const deadline = performance.now() + LIMIT_MS
  while (child.exitCode === null && performance.now() < deadline) {
    const its = await readlink(`/proc/${child.pid}/ns/user`).catch(() => own)
    if (its !== own) return
    await sleep(POLL_MS)
  }
  throw new ContainerError('MISSING_TOOL', 'this kernel does not allow another user namespace', {
    hint:
      'raise the limit (sysctl -w user.max_user_namespaces=10000), or, for an image that you trust ' +
      'as much as this machine’s root, run without one: --private-users no'
  })
}
