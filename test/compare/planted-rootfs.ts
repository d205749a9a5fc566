import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { BIG_DIRECTORY_ENTRIES, noise, plantDirectory } from '../fuse/planted-directory.ts'
import { mknod, setXattr } from '../fuse/system-calls.ts'
import { plantDeep } from './planted-depth.ts'

const CHUNK = 65_536
/** Where data stands that no 32 bits can point to. */
const HUGE_DATA = 2 ** 32 + 2 * CHUNK
/**
 * `./` and the path of the deepest file fill PATH_MAX, so that every tool reaches it from the root;
 * from the root of the machine that publishes it, it is too long to name.
 */
const DEEP_NAMES = [...Array<number>(16).fill(250), 56]
/** Names and targets that are not UTF-8. */
export const RAW = { directory: 'planted/raw', bytes: Buffer.from([0x72, 0xe9, 0xff, 0x0a]) }

/** What an overlay leaves in its upper layer, as in the store of containers in a container. */
export const OVERLAYS = 'planted/overlays'

/** A copy of a root filesystem with one of everything planted at `planted`. Needs root. */
export async function plantRootfs(rootfs: string, copy: string): Promise<void> {
  execFileSync('cp', ['-a', '--reflink=auto', rootfs, copy])
  const at = (...names: string[]): string => join(copy, 'planted', ...names)
  fs.mkdirSync(at())
  await plantDirectory(at(), 0)
  plantMany(at('big'), BIG_DIRECTORY_ENTRIES)
  fs.mkdirSync(at('deep'))
  plantDeep(at('deep'), DEEP_NAMES, 'at the end')
  plantHuge(at('huge'))
  plantNames(copy, at)
  fs.linkSync(at('files', 'size-4097'), join(copy, 'usr/local/linked'))
  fs.linkSync(at('special', 'fifo'), at('fifo-too'))
  fs.linkSync(at('links', 'long'), at('links', 'long-too'))
  fs.chmodSync(at('files'), 0o3775)
  fs.mkdirSync(at('no-permission'), { mode: 0 })
  setXattr(copy, 'user.of-the-root', Buffer.from('/'))
  execFileSync('setfacl', ['-m', 'u:1000:rwx', copy])
  setXattr(at('links', 'dangling'), 'trusted.of-a-symlink', Buffer.from([0, 255, 10]))
  setXattr(at('special', 'null'), 'security.of-a-device', Buffer.from('x'))
  setXattr(at('files'), 'user.of-a-directory', noise(2000, 3))
  execFileSync('setfacl', ['-m', 'u:4000000000:rwx,g:7:-,m:rwx', at('files', 'size-1')])
  fs.mkdirSync(join(copy, OVERLAYS, 'opaque'), { recursive: true })
  setXattr(join(copy, OVERLAYS, 'opaque'), 'trusted.overlay.opaque', Buffer.from('y'))
  mknod(join(copy, OVERLAYS, 'whiteout'), fs.constants.S_IFCHR, 0)
  plantTimes(at)
}

function plantMany(directory: string, entries: number): void {
  for (let entry = 0; entry < entries; entry++) {
    fs.closeSync(fs.openSync(join(directory, `entry-${entry}`), 'wx'))
  }
}

function plantHuge(path: string): void {
  const file = fs.openSync(path, 'w')
  fs.writeSync(file, noise(CHUNK, 1), 0, CHUNK, CHUNK)
  fs.writeSync(file, noise(CHUNK + 5, 2), 0, CHUNK + 5, HUGE_DATA)
  fs.closeSync(file)
}

function plantNames(copy: string, at: (...names: string[]) => string): void {
  fs.mkdirSync(join(copy, RAW.directory))
  const raw = Buffer.concat([Buffer.from(join(copy, RAW.directory) + '/'), RAW.bytes])
  fs.mkdirSync(raw)
  fs.writeFileSync(Buffer.concat([raw, Buffer.from('/below')]), 'below')
  fs.symlinkSync(RAW.bytes, join(copy, RAW.directory, 'target'))
  fs.mkdirSync(at('lines'))
  for (const name of ['a\nb', '\n', ' ', '\t', '\x7f', '\\', '"', '*', '-rf', '~', '%41', '%2f']) {
    fs.writeFileSync(at('lines', name), name)
  }
}

/** Node.js takes no nanoseconds, and before 1970 for now. */
function plantTimes(at: (...names: string[]) => string): void {
  fs.mkdirSync(at('times'))
  const times = ['-1.000000001', '-86400.5', '-2147483648', '0.000000001', '1.999999999']
  for (const time of [...times, '4294967296.123456789', '15032385535']) {
    fs.writeFileSync(at('times', time), '')
    fs.symlinkSync('x', at('times', `${time}-link`))
    fs.mkdirSync(at('times', `${time}-directory`))
    for (const name of [time, `${time}-link`, `${time}-directory`]) {
      execFileSync('touch', ['-h', '-d', `@${time}`, at('times', name)])
    }
  }
}
