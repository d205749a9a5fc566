import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  statfsSync,
  type BigIntStats
} from 'node:fs'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type test from 'brittle'
import { bindMount, unmount } from '../../src/fuse/linux/bind-mount.ts'
import { MOUNT_FLAG } from '../../src/fuse/linux/mount-syscall.ts'
import { BIG_DIRECTORY_ENTRIES, CHUNK, SPARSE_BYTES } from './planted-directory.ts'
import {
  getXattr,
  getXattrInto,
  listXattrs,
  listXattrsInto,
  readMapped,
  seek,
  SEEK_DATA,
  SEEK_HOLE
} from './system-calls.ts'
import type { ServedImage } from './served-image.ts'

type TestInstance = ReturnType<typeof test>

const ERANGE = 34
const ENODATA = 61

/**
 * Checks that `mounted` shows what the real directory `expected` (see `plantDirectory`) holds. Run it
 * from another process than the one that serves the mount: it reads synchronously.
 */
export async function filesystemContract(
  t: TestInstance,
  mounted: string,
  expected: string
): Promise<void> {
  checkTree(t, mounted, expected)
  checkReads(t, mounted, expected)
  checkSymlinks(t, mounted, expected)
  checkXattrs(t, mounted, expected)
  checkSparse(t, mounted, expected)
  checkBigDirectory(t, mounted)
  checkAbsent(t, mounted)
  await checkRefusedWrites(t, mounted)
  await checkPermissions(t, mounted)
  await checkConcurrentReads(t, mounted, expected)
}

/** Checks that a read whose content does not come is EIO, and works once the content comes. */
export async function checkFailingRead(
  t: TestInstance,
  image: ServedImage,
  expected: string
): Promise<void> {
  const path = join(image.rootfs, 'files/size-1000003')
  await image.command('failing')
  await t.exception(fs.readFile(path), /EIO/)
  await image.command('working')
  const content = await fs.readFile(join(expected, 'files/size-1000003'))
  t.ok((await fs.readFile(path)).equals(content))
}

const SLASH = Buffer.from('/')

function walk(root: string, visit: (relative: Buffer, stats: BigIntStats) => void): void {
  const visitBelow = (relative: Buffer): void => {
    const path = Buffer.concat([Buffer.from(root), relative])
    const stats = lstatSync(path, { bigint: true })
    visit(relative, stats)
    if (!stats.isDirectory()) return
    const names = readdirSync(path, { encoding: 'buffer' }).sort((a, b) => a.compare(b))
    for (const name of names) visitBelow(Buffer.concat([relative, SLASH, name]))
  }
  visitBelow(Buffer.alloc(0))
}

/** One hash over the content of every file below `root`. */
export function hashEverything(root: string): string {
  const hash = createHash('sha256')
  walk(root, (relative, stats) => {
    if (stats.isFile()) hash.update(readFileSync(Buffer.concat([Buffer.from(root), relative])))
  })
  return hash.digest('hex')
}

function hashOf(path: Buffer): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

/** One line for each path: every attribute, and the hash of every file. */
function describeTree(root: string): Map<string, string> {
  const lines = new Map<string, string>()
  const firstName = new Map<bigint, string>()
  walk(root, (relative, stats) => {
    const name = relative.toString('latin1')
    // Equal inode numbers mean hardlinks; the numbers themselves are the mount's own.
    const same = stats.isDirectory() ? name : (firstName.get(stats.ino) ?? name)
    firstName.set(stats.ino, same)
    const size = stats.isDirectory() ? 'directory' : stats.size
    const path = Buffer.concat([Buffer.from(root), relative])
    const content = stats.isFile() && stats.size > 0n ? hashOf(path) : ''
    const { mode, uid, gid, nlink, rdev, mtimeNs } = stats
    lines.set(name, [mode, uid, gid, size, nlink, rdev, mtimeNs, same, content].join(' '))
  })
  return lines
}

function checkTree(t: TestInstance, mounted: string, expected: string): void {
  const wanted = describeTree(expected)
  const found = describeTree(mounted)
  t.alike([...found.keys()].sort(), [...wanted.keys()].sort(), 'every name, and no other')
  const different = [...wanted].filter(([name, line]) => found.get(name) !== line)
  t.alike(
    different.map(([name, line]) => ({ name, line, found: found.get(name) })),
    [],
    'every attribute, link count, hardlink and content hash is equal'
  )
  t.ok(statfsSync(mounted).bsize > 0, 'statfs answers')
}

function checkReads(t: TestInstance, mounted: string, expected: string): void {
  const name = 'files/size-1000003'
  const wanted = readFileSync(join(expected, name))
  const file = openSync(join(mounted, name), 'r')
  const offsets = [0, 1, 4095, 4096, 4097, CHUNK - 1, CHUNK, CHUNK + 1, 999_999, 1_000_002]
  const lengths = [1, 2, 4095, 4097, CHUNK - 1, CHUNK + 1, 3 * CHUNK + 7]
  let wrong = 0
  for (const offset of offsets) {
    for (const length of lengths) {
      const buffer = Buffer.alloc(length)
      const count = readSync(file, buffer, 0, length, offset)
      const slice = wanted.subarray(offset, offset + length)
      if (!buffer.subarray(0, count).equals(slice)) wrong += 1
    }
  }
  t.is(wrong, 0, 'reads at odd offsets and across chunks are right')
  const past = [1_000_003, 1_000_004, 5_000_000_000].map((offset) =>
    readSync(file, Buffer.alloc(10), 0, 10, offset)
  )
  t.alike(past, [0, 0, 0], 'reads at and past the end give nothing')
  t.ok(readMapped(file, wanted.length).equals(wanted), 'a mapping reads the same')
  closeSync(file)
  const odd = openSync(join(mounted, 'files/size-4097'), 'r')
  const tail = readMapped(odd, 8192).subarray(4097)
  t.ok(tail.equals(Buffer.alloc(8192 - 4097)), 'a mapping shows zeros past the end')
  closeSync(odd)
}

function checkSymlinks(t: TestInstance, mounted: string, expected: string): void {
  for (const name of ['relative', 'dangling', 'long', 'middle']) {
    const target = readlinkSync(join(mounted, 'links', name))
    t.ok(target === readlinkSync(join(expected, 'links', name)), `symlink ${name}`)
  }
  t.is(readFileSync(join(mounted, 'links/relative')).length, 1, 'a symlink is followed')
}

function checkXattrs(t: TestInstance, mounted: string, expected: string): void {
  for (const name of ['xattrs', 'xattrs/a', 'xattrs/b', 'xattrs/c', 'files/size-1']) {
    const [found, wanted] = [join(mounted, name), join(expected, name)]
    t.alike(listXattrs(found), listXattrs(wanted), `xattr names of ${name}`)
    for (const key of listXattrs(wanted)) {
      t.ok(getXattr(found, key).equals(getXattr(wanted, key)), `${key} of ${name}`)
    }
  }
  const b = join(mounted, 'xattrs/b')
  t.is(getXattrInto(b, 'user.large', Buffer.alloc(0)), 3000, 'getxattr tells the size')
  t.is(getXattrInto(b, 'user.large', Buffer.alloc(2999)), -ERANGE, 'getxattr says ERANGE')
  t.is(getXattrInto(b, 'user.absent', Buffer.alloc(10)), -ENODATA, 'getxattr says ENODATA')
  t.is(listXattrsInto(b, Buffer.alloc(5)), -ERANGE, 'listxattr says ERANGE')
}

function checkSparse(t: TestInstance, mounted: string, expected: string): void {
  t.is(lstatSync(join(mounted, 'sparse')).size, SPARSE_BYTES, 'a sparse file has its size')
  t.is(
    hashOf(Buffer.from(join(mounted, 'all-hole'))),
    hashOf(Buffer.from(join(expected, 'all-hole')))
  )
  const file = openSync(join(mounted, 'sparse'), 'r')
  t.is(seek(file, 0, SEEK_DATA), 2 * CHUNK, 'data begins after the first hole')
  t.is(seek(file, 2 * CHUNK, SEEK_HOLE), 3 * CHUNK, 'the next hole begins after it')
  t.is(seek(file, 3 * CHUNK, SEEK_DATA), 10 * CHUNK, 'then data again')
  t.is(seek(file, 11 * CHUNK, SEEK_DATA), 40 * CHUNK, 'and the last piece')
  closeSync(file)
}

function checkBigDirectory(t: TestInstance, mounted: string): void {
  const names = new Set(readdirSync(join(mounted, 'big')))
  t.is(names.size, BIG_DIRECTORY_ENTRIES, 'a directory of 100,000 entries lists completely')
  const probes = [0, 1, 49_999, BIG_DIRECTORY_ENTRIES - 1]
  t.ok(
    probes.every((entry) => lstatSync(join(mounted, 'big', `entry-${entry}`)).isFile()),
    'and its entries are found'
  )
}

function checkAbsent(t: TestInstance, mounted: string): void {
  for (const name of ['absent', 'files/absent', 'files/size-1/below', 'names/nothing', 'big/x']) {
    t.exception(() => lstatSync(join(mounted, name)), /ENOENT|ENOTDIR/, `no ${name}`)
  }
  // A name as its bytes are, whatever readdir makes of it.
  const raw = Buffer.concat([
    Buffer.from(join(mounted, 'names') + '/'),
    Buffer.from([0x62, 0xff, 0x64])
  ])
  t.is(readFileSync(raw).toString(), 'not UTF-8', 'a name that is not UTF-8 is found')
}

async function errorOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'no error',
    (error: unknown) => (error as NodeJS.ErrnoException).code ?? String(error)
  )
}

async function checkRefusedWrites(t: TestInstance, mounted: string): Promise<void> {
  const at = (name: string): string => join(mounted, name)
  const attempts: Record<string, () => Promise<unknown>> = {
    create: async () => fs.writeFile(at('new'), ''),
    overwrite: async () => fs.open(at('files/size-1'), 'r+'),
    mkdir: async () => fs.mkdir(at('new')),
    unlink: async () => fs.unlink(at('files/size-1')),
    rmdir: async () => fs.rmdir(at('empty-directory')),
    rename: async () => fs.rename(at('files/size-1'), at('files/renamed')),
    symlink: async () => fs.symlink('x', at('new')),
    link: async () => fs.link(at('files/size-1'), at('new')),
    chmod: async () => fs.chmod(at('files/size-1'), 0o777),
    chown: async () => fs.chown(at('files/size-1'), 1, 1),
    utimes: async () => fs.utimes(at('files/size-1'), 1, 1),
    truncate: async () => fs.truncate(at('files/size-1'), 0)
  }
  for (const [what, attempt] of Object.entries(attempts)) {
    t.is(await errorOf(attempt()), 'EROFS', `${what} is refused`)
  }
}

/** As another user, who could not pass the mount's own directory: through a bind mount beside it. */
async function checkPermissions(t: TestInstance, mounted: string): Promise<void> {
  const NOBODY = 65_534
  const IN_ACL = 1000
  const view = await fs.mkdtemp('/tmp/dat-container-view-')
  await fs.chmod(view, 0o755)
  mkdirSync(join(view, 'root'))
  await bindMount(mounted, join(view, 'root'), { flags: MOUNT_FLAG.readOnly })
  const cat = async (name: string, uid = NOBODY): Promise<string> =>
    promisify(execFile)('cat', [join(view, 'root', name)], { uid, gid: NOBODY }).then(
      ({ stdout }) => stdout,
      (error: { stderr?: string }) => error.stderr ?? ''
    )
  try {
    t.is(await cat('xattrs/a'), 'a', 'another user reads what is public')
    t.ok((await cat('files/private')).includes('Permission denied'), 'and not what is private')
    t.is(await cat('xattrs/c', IN_ACL), 'c', 'an ACL lets in whom it names')
    t.ok((await cat('xattrs/c')).includes('Permission denied'), 'and nobody else')
    const list = promisify(execFile)('ls', [join(view, 'root', 'empty-directory')], { uid: NOBODY })
    t.not(await errorOf(list), 'no error', 'nor lists a private directory')
  } finally {
    await unmount(join(view, 'root'))
    await fs.rm(view, { recursive: true })
  }
}

async function checkConcurrentReads(t: TestInstance, mounted: string, expected: string) {
  const names = readdirSync(join(expected, 'files'))
  const reads = names.flatMap((name) => [name, name, name])
  const equal = await Promise.all(
    reads.map(async (name) => {
      const [found, wanted] = await Promise.all(
        [mounted, expected].map(async (root) => fs.readFile(join(root, 'files', name)))
      )
      return wanted !== undefined && found?.equals(wanted) === true
    })
  )
  t.ok(equal.every(Boolean), 'concurrent reads are right')
}
