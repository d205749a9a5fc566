import { constants } from 'node:fs'
import {
  chmod,
  chown,
  link,
  lutimes,
  mkdir,
  mkdtemp,
  open,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mknod, setXattr } from './system-calls.ts'

const { S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK } = constants
export const CHUNK = 65_536
export const BIG_DIRECTORY_ENTRIES = 100_000
export const SPARSE_BYTES = 40 * CHUNK + 123

/** Bytes that differ in every chunk and do not compress to nothing; the same every time. */
export function noise(bytes: number, seed: number): Buffer {
  const content = Buffer.alloc(bytes)
  let state = seed * 2_654_435_761 + 1
  for (let index = 0; index < bytes; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    content[index] = state >>> 24
  }
  return content
}

/** What is used here of the `t` of a test; brittle's types do not name it. */
interface TestInstance {
  teardown(work: () => Promise<void>): void
}

/** Makes a directory of its own for a test, which goes with it. @param purpose a word for its name */
export async function ownDirectory(t: TestInstance, purpose: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `dat-container-${purpose}-`))
  t.teardown(async () => rm(directory, { recursive: true, force: true }))
  return directory
}

/** Makes a directory for a test with one of everything, as {@link plantDirectory} does. Needs root. */
export async function plantedDirectory(t: TestInstance, bigEntries: number): Promise<string> {
  const directory = await ownDirectory(t, 'planted')
  await plantDirectory(directory, bigEntries)
  return directory
}

/** Fills an existing directory with one of everything a root filesystem can hold. Needs root. */
export async function plantDirectory(root: string, bigEntries: number): Promise<void> {
  const at = (...names: string[]): string => join(root, ...names)
  await chmod(root, 0o755)
  await plantFiles(at)
  await plantLinks(at)
  await plantSpecials(at)
  await plantXattrs(at)
  await mkdir(at('big'))
  for (let entry = 0; entry < bigEntries; entry++) {
    await writeFile(at('big', `entry-${entry}`), '', { flag: 'wx' })
  }
}

type At = (...names: string[]) => string

async function plantFiles(at: At): Promise<void> {
  await mkdir(at('files'))
  await mkdir(at('empty-directory'), { mode: 0o700 })
  const sizes = [0, 1, 4095, 4096, 4097, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 1_000_003]
  for (const size of sizes) await writeFile(at('files', `size-${size}`), noise(size, size))
  await writeFile(at('files', 'zeros'), Buffer.alloc(2 * CHUNK))
  // Sorted around "." and "..", and across the blocks of a directory.
  await mkdir(at('names'))
  for (const name of ['!', '#', '+a', ',', '-', '-.', '...', '.a', '..b', '0', 'z']) {
    await writeFile(at('names', name), name)
  }
  for (let index = 0; index < 40; index++) {
    await writeFile(at('names', `${index}`.padStart(255, 'n')), `${index}`)
  }
  await writeFile(at('names', 'späti 🚪'), 'UTF-8')
  const directory = Buffer.from(at('names') + '/')
  await writeFile(Buffer.concat([directory, Buffer.from([0x62, 0xff, 0x64])]), 'not UTF-8')
  await plantSparse(at('sparse'))
  await writeFile(at('all-hole'), '')
  await truncate(at('all-hole'), 5 * CHUNK)
  await writeFile(at('files', 'private'), 'secret')
  await chmod(at('files', 'private'), 0o600)
  await writeFile(at('files', 'old'), 'x')
  // As a Date: Node.js takes a negative number for "now".
  const old = new Date(-86_400_000)
  await utimes(at('files', 'old'), old, old)
  await writeFile(at('files', 'future'), 'x')
  await utimes(at('files', 'future'), 5_000_000_000.25, 5_000_000_000.25)
}

async function plantSparse(path: string): Promise<void> {
  const file = await open(path, 'w')
  await file.write(noise(CHUNK, 77), 0, CHUNK, 2 * CHUNK)
  await file.write(noise(CHUNK, 78), 0, CHUNK, 10 * CHUNK)
  await file.write(noise(123, 79), 0, 123, 40 * CHUNK)
  await file.close()
}

async function plantLinks(at: At): Promise<void> {
  await mkdir(at('links'))
  await symlink('../files/size-1', at('links', 'relative'))
  await symlink('/absolute/nowhere', at('links', 'dangling'))
  await symlink('x'.repeat(4095), at('links', 'long'))
  await symlink('y'.repeat(200), at('links', 'middle'))
  await lutimes(at('links', 'relative'), 1_000_000.123, 1_000_000.123)
  await writeFile(at('links', 'one'), noise(70_000, 5))
  await link(at('links', 'one'), at('links', 'two'))
  await link(at('links', 'one'), at('empty-directory-neighbour'))
}

async function plantSpecials(at: At): Promise<void> {
  await mkdir(at('special'))
  mknod(at('special', 'fifo'), S_IFIFO | 0o640)
  mknod(at('special', 'socket'), S_IFSOCK | 0o755)
  mknod(at('special', 'null'), S_IFCHR | 0o666, 0x103)
  mknod(at('special', 'large-minor'), S_IFBLK | 0o660, (0xabc << 8) | 0x12 | (0x345 << 20))
  await writeFile(at('special', 'setuid'), '#!/bin/sh\n')
  await chown(at('special', 'setuid'), 65_537, 4_000_000_000)
  await chmod(at('special', 'setuid'), 0o6755)
  await mkdir(at('special', 'sticky'))
  await chmod(at('special', 'sticky'), 0o1777)
  // Something whose directory was filled and then changed its name.
  await rename(at('special', 'sticky'), at('special', 'tmp'))
}

async function plantXattrs(at: At): Promise<void> {
  await mkdir(at('xattrs'))
  const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex')
  for (const name of ['a', 'b', 'c']) {
    await writeFile(at('xattrs', name), name)
    setXattr(at('xattrs', name), 'security.test-label', Buffer.from('system_u:object_r:bin_t:s0'))
  }
  setXattr(at('xattrs', 'a'), 'security.capability', capability)
  setXattr(at('xattrs', 'a'), 'user.empty', Buffer.alloc(0))
  setXattr(at('xattrs', 'b'), 'user.large', noise(3000, 9))
  setXattr(at('xattrs', 'b'), 'trusted.note', Buffer.from('for root'))
  setXattr(at('xattrs'), 'system.posix_acl_default', posixAcl())
  setXattr(at('xattrs', 'c'), 'system.posix_acl_access', posixAcl())
}

/** An ACL as Linux stores it in an xattr: owner rwx, user 1000 r-x, group r-x, mask rwx, other none. */
function posixAcl(): Buffer {
  const NO_ID = 0xffffffff
  const entries: [tag: number, permissions: number, id: number][] = [
    [0x01, 7, NO_ID],
    [0x02, 5, 1000],
    [0x04, 5, NO_ID],
    [0x10, 7, NO_ID],
    [0x20, 0, NO_ID]
  ]
  const value = Buffer.alloc(4 + 8 * entries.length)
  value.writeUInt32LE(2, 0)
  for (const [index, [tag, permissions, id]] of entries.entries()) {
    value.writeUInt16LE(tag, 4 + 8 * index)
    value.writeUInt16LE(permissions, 6 + 8 * index)
    value.writeUInt32LE(id, 8 + 8 * index)
  }
  return value
}
