import { constants } from 'node:os'
import { closeSync } from 'node:fs'
import { join } from 'node:path'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import { errnoName } from './errno.ts'
import { readMountTable } from './mount-table.ts'
import { systemCalls } from '../../core/host/system-calls.ts'

/** Numbers of the calls, the same on every architecture since Linux 5.2 (asm-generic/unistd.h). */
const SYSCALL = { openTree: 428, moveMount: 429, mountSetattr: 442 } as const
const AT_FDCWD = -100
const AT_EMPTY_PATH = 0x1000
const AT_RECURSIVE = 0x8000
const OPEN_TREE_CLONE = 1
const OPEN_TREE_CLOEXEC = 0o2_000_000
const MOVE_MOUNT_F_EMPTY_PATH = 4
const MOUNT_ATTR_IDMAP = 0x0010_0000
/** `struct mount_attr`: attributes to set, to clear, propagation, user namespace. */
const MOUNT_ATTR_BYTES = 32

/** Attributes of a mount that is made here (linux/mount.h). */
export const MOUNT_ATTRIBUTE = { readOnly: 1, noSuid: 2, noDev: 4 } as const

export interface IdmappedMountOptions {
  /** What is shown: a directory or file of any mount. */
  readonly source: string
  /** Where: a directory or file, as `source` is. */
  readonly target: string
  /** Descriptor of the user namespace whose mapping is applied: what is 0 in `source` is its 0 in `target`. */
  readonly userNamespace: number
  /** A sum of `MOUNT_ATTRIBUTE`s, on top of those of `source`. @default 0 */
  readonly attributes?: number
  /** Take the mounts below `source` along; those that cannot be mapped are shown as they are. @default false */
  readonly recursive?: boolean
}

type AsyncCall = (
  ...args: [...values: unknown[], done: (error: unknown, result: number) => void]
) => void

interface Calls {
  readonly openTree: AsyncCall
  readonly mountSetattr: AsyncCall
  readonly moveMount: AsyncCall
}

let calls: Calls | undefined

function loadCalls(): Calls {
  if (calls === undefined) {
    const self = systemCalls().load(null)
    const bind = (parameters: string): AsyncCall =>
      self.func(`intptr_t syscall(intptr_t, ${parameters})`).async as AsyncCall
    calls = {
      openTree: bind('int, const char *, unsigned int'),
      mountSetattr: bind('int, const char *, unsigned int, const uint8_t *, size_t'),
      moveMount: bind('int, const char *, int, const char *, unsigned int')
    }
  }
  return calls
}

/** @returns the call's result, or its errno as a negative number */
async function run(call: AsyncCall, ...args: unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    call(...args, (error, result) => {
      // koffi restores the errno of this very call before it calls back.
      if (error) reject(error instanceof Error ? error : new Error('koffi call failed'))
      else resolve(result < 0 ? -systemCalls().errno() : result)
    })
  })
}

/**
 * Shows `source` at `target` with its owners' ids mapped, so that a container with ids of its own finds in
 * it the ids that it expects. Nothing is copied, and `source` is as it was.
 *
 * @returns whether it is there: false where the kernel or the file system of `source` cannot (EROFS from
 *   Linux 5.19, plain FUSE from 6.12, ext4 and others from 5.12)
 * @throws ContainerError `NEEDS_ROOT`, `NOT_FOUND`, `MOUNT_FAILED`
 */
export async function mountIdmapped(options: IdmappedMountOptions): Promise<boolean> {
  const { source, target, userNamespace, attributes = 0, recursive = false } = options
  const set = { attributes, userNamespace }
  if (!(await cloneMount(source, target, set))) return false
  // The kernel maps ids of a mount alone, not of one with others below.
  for (const below of recursive ? await mountsBelow(source) : []) {
    const places = [join(source, below), join(target, below)] as const
    try {
      if (!(await cloneMount(...places, set))) await cloneMount(...places, { attributes })
    } catch (error) {
      // Another mount lies over it.
      if (!isContainerError(error, 'NOT_FOUND')) throw error
    }
  }
  return true
}

/**
 * Clones the mount that `source` is in, with all below it and their owners' ids mapped, and mounts it
 * nowhere: who has the descriptor reaches it, and with the last descriptor it is gone.
 *
 * @returns a descriptor, for the caller to close; undefined where the kernel or one of the file systems
 *   cannot map ids
 * @throws ContainerError `NEEDS_ROOT`, `NOT_FOUND`, `MOUNT_FAILED`
 */
export async function cloneIdmapped({
  source,
  userNamespace,
  attributes = 0
}: Pick<IdmappedMountOptions, 'source' | 'userNamespace' | 'attributes'>): Promise<
  number | undefined
> {
  const tree = await openTree(source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)
  if (tree === undefined) return undefined
  try {
    const set = attributes | MOUNT_ATTR_IDMAP
    if (await mapIds(tree, source, userNamespace, set, AT_RECURSIVE)) return tree
  } catch (error) {
    closeSync(tree)
    throw error
  }
  closeSync(tree)
  return undefined
}

/** @returns a descriptor; undefined where the kernel has no such call */
async function openTree(source: string, flags: number): Promise<number | undefined> {
  const { openTree: call } = loadCalls()
  const tree = await run(call, SYSCALL.openTree, AT_FDCWD, source, flags)
  if (tree >= 0) return tree
  if (-tree === constants.errno.ENOSYS) return undefined
  throw mountError(`cannot clone ${source}`, -tree)
}

/** @returns whether ids could be mapped, where that is asked for */
async function cloneMount(
  source: string,
  target: string,
  { attributes, userNamespace }: { attributes: number; userNamespace?: number }
): Promise<boolean> {
  const { moveMount } = loadCalls()
  const tree = await openTree(source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
  if (tree === undefined) return false
  try {
    if (attributes !== 0) {
      const result = await setAttributes(tree, attributes)
      if (result < 0) throw mountError(`cannot set attributes of ${source}`, -result)
    }
    if (userNamespace !== undefined && !(await mapIds(tree, source, userNamespace))) return false
    const to = [AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH]
    const moved = await run(moveMount, SYSCALL.moveMount, tree, '', ...to)
    if (moved < 0) throw mountError(`cannot mount ${source} on ${target}`, -moved)
    return true
  } finally {
    closeSync(tree)
  }
}

async function mapIds(
  tree: number,
  source: string,
  userNamespace: number,
  set: number = MOUNT_ATTR_IDMAP,
  flags = 0
): Promise<boolean> {
  const result = await setAttributes(tree, set, userNamespace, flags)
  const { EINVAL, ENOSYS, EPERM } = constants.errno
  // EPERM: the file system is of another user namespace, or mapped already.
  if ([EINVAL, ENOSYS, EPERM].includes(-result)) return false
  if (result < 0) throw mountError(`cannot map the ids of ${source}`, -result)
  return true
}

async function setAttributes(
  tree: number,
  set: number,
  userNamespace = 0,
  flags = 0
): Promise<number> {
  const attributes = new BigUint64Array(MOUNT_ATTR_BYTES / 8)
  attributes[0] = BigInt(set)
  attributes[3] = BigInt(userNamespace)
  const bytes = new Uint8Array(attributes.buffer)
  const { mountSetattr } = loadCalls()
  const where = AT_EMPTY_PATH | flags
  return run(mountSetattr, SYSCALL.mountSetattr, tree, '', where, bytes, MOUNT_ATTR_BYTES)
}

/** Paths of the mounts below a directory, relative to it. */
async function mountsBelow(directory: string): Promise<string[]> {
  const prefix = directory.endsWith('/') ? directory : `${directory}/`
  const points = (await readMountTable()).map(({ mountPoint }) => mountPoint)
  const below = points.filter((path) => path.startsWith(prefix) && path !== prefix)
  return [...new Set(below)].map((path) => path.slice(prefix.length))
}

function mountError(what: string, errno: number): ContainerError {
  const name = errnoName(errno)
  const cause = Object.assign(new Error(name), { code: name, errno: -errno })
  const code = name === 'EPERM' ? 'NEEDS_ROOT' : name === 'ENOENT' ? 'NOT_FOUND' : 'MOUNT_FAILED'
  return new ContainerError(code, `${what}: ${name}`, { cause })
}
