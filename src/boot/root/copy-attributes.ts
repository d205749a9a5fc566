import { chmod, chown, stat } from 'node:fs/promises'
import { constants } from 'node:os'
import { ContainerError } from '../../core/errors.ts'
import { errno, loadLibC } from '../../core/host/libc.ts'
import { readXattrs } from '../../image/source/xattr.ts'

const NUL = Buffer.alloc(1)
const NANOSECONDS = 1_000_000_000n
/** fcntl.h: a path is relative to the working directory; ours are absolute. */
const AT_FDCWD = -100

/**
 * Gives a directory the owner, mode, extended attributes (ACLs among them) and times of another. The
 * source may be on a mount that another process serves; not on one of this thread.
 *
 * @param target takes trusted attributes: ext4, xfs, btrfs, tmpfs
 * @throws ContainerError `IO`, or the system's error
 */
export async function copyAttributes(source: string, target: string): Promise<void> {
  const { mode, uid, gid, atimeNs, mtimeNs } = await stat(source, { bigint: true })
  await chown(target, Number(uid), Number(gid))
  const path = Buffer.from(`${target}\0`)
  for (const { name, value } of readXattrs(Buffer.from(source))) {
    const cName = Buffer.concat([name, NUL])
    const result = loadLibC().lsetxattr(path, cName, value, value.length, 0)
    // Before Linux 6.6 tmpfs takes no user attributes: a container with writes in memory lacks them.
    if (result === 0 || errno() !== constants.errno.EOPNOTSUPP) check(result, target)
  }
  await chmod(target, Number(mode & 0o7777n))
  const times = new BigInt64Array([...timespec(atimeNs), ...timespec(mtimeNs)])
  check(loadLibC().utimensat(AT_FDCWD, path, new Uint8Array(times.buffer), 0), target)
}

function timespec(time: bigint): [seconds: bigint, nanoseconds: bigint] {
  const nanoseconds = ((time % NANOSECONDS) + NANOSECONDS) % NANOSECONDS
  return [(time - nanoseconds) / NANOSECONDS, nanoseconds]
}

function check(result: number, path: string): void {
  if (result === 0) return
  const message = `cannot set the attributes of ${path} (error ${errno()})`
  throw new ContainerError('IO', message, {
    hint: 'choose a --home on ext4, xfs or btrfs, or run with --ephemeral'
  })
}
