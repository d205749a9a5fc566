import * as fs from 'node:fs'
import {
  getXattr,
  mknod,
  removeXattr,
  renameWithFlags,
  setTimes,
  setXattr,
  UTIME_NOW,
  UTIME_OMIT
} from '../fuse/system-calls.ts'
import { answer, asOther, OTHER, type Place } from './posix-place.ts'

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND } = fs.constants
const { O_NOFOLLOW, O_DIRECTORY, S_IFCHR, S_IFSOCK, S_IFIFO, S_IFBLK } = fs.constants

/** Each does something in a place and tells what that answered and what is there then. */
export type Check = (place: Place) => string[]

function open(place: Place, name: string, flags: number, write?: string, mode = 0o640): string {
  return answer(() => {
    const fd = fs.openSync(place.at(name), flags, mode)
    try {
      if (write !== undefined) fs.writeSync(fd, write)
      return fs.fstatSync(fd).size
    } finally {
      fs.closeSync(fd)
    }
  })
}

function rename(place: Place, from: string, to: string): string[] {
  const said = answer(() => fs.renameSync(place.at(from), place.at(to)))
  return [said, place.list(), place.stat(to), place.list(to)]
}

const text = (value: string): Buffer => Buffer.from(value)

export const CHECKS: Readonly<Record<string, Check>> = {
  'chmod of a file': (p) => [answer(() => fs.chmodSync(p.at('file'), 0o4711)), p.stat('file')],
  'chmod of a directory': (p) => [answer(() => fs.chmodSync(p.at('dir'), 0o3700)), p.stat('dir')],
  'chmod through a symlink': (p) => [
    answer(() => fs.chmodSync(p.at('symlink'), 0o600)),
    p.stat('file'),
    p.stat('symlink')
  ],
  'chmod of nothing': (p) => [answer(() => fs.chmodSync(p.at('dangling'), 0o600))],
  'chmod by another': (p) => [
    asOther(() => fs.chmodSync(p.at('file'), 0o777)),
    asOther(() => fs.chmodSync(p.at('setuid'), 0o2755)),
    p.stat('setuid')
  ],
  'chown clears setuid': (p) => [
    answer(() => fs.chownSync(p.at('setuid'), 7, 8)),
    p.stat('setuid')
  ],
  'chown to the same': (p) => [
    answer(() => fs.chownSync(p.at('setuid'), OTHER, OTHER)),
    p.stat('setuid')
  ],
  'chown of a symlink': (p) => [
    answer(() => fs.lchownSync(p.at('symlink'), 5, 6)),
    p.stat('symlink'),
    p.stat('file')
  ],
  'chown of a directory': (p) => [answer(() => fs.chownSync(p.at('dir'), 1, 2)), p.stat('dir')],
  'chown by another': (p) => [asOther(() => fs.chownSync(p.at('setuid'), 0, 0)), p.stat('setuid')],
  'a write clears setuid': (p) => [
    answer(() => fs.chmodSync(p.at('setuid'), 0o6777)),
    asOther(() => fs.appendFileSync(p.at('setuid'), '+')),
    p.stat('setuid')
  ],
  'a truncate clears setuid': (p) => [
    answer(() => fs.chmodSync(p.at('setuid'), 0o6777)),
    asOther(() => fs.truncateSync(p.at('setuid'), 3)),
    p.stat('setuid')
  ],
  'rename of a file': (p) => rename(p, 'file', 'new'),
  'rename over a file': (p) => [...rename(p, 'file', 'second'), p.xattrs('second')],
  'rename over itself': (p) => rename(p, 'file', 'file'),
  'rename over a hardlink of itself': (p) => [...rename(p, 'linked', 'linked-too'), p.list()],
  'rename over an empty directory': (p) => rename(p, 'dir', 'empty'),
  'rename over a full directory': (p) => rename(p, 'empty', 'dir'),
  'rename of a file over a directory': (p) => rename(p, 'file', 'empty'),
  'rename of a directory over a file': (p) => rename(p, 'dir', 'file'),
  'rename of a directory': (p) => [...rename(p, 'dir', 'moved'), p.read('moved/inside')],
  'rename of a directory into another': (p) => [
    ...rename(p, 'dir', 'empty/moved'),
    p.list('empty/moved')
  ],
  'rename of a directory, twice': (p) => [
    ...rename(p, 'dir', 'once'),
    ...rename(p, 'once', 'twice'),
    p.read('twice/inside')
  ],
  'rename of a directory below itself': (p) => rename(p, 'dir', 'dir/inner/deeper'),
  'rename of a directory, another in its place': (p) => [
    ...rename(p, 'dir', 'moved'),
    answer(() => fs.mkdirSync(p.at('dir'))),
    p.list('dir')
  ],
  'rename of nothing': (p) => rename(p, 'absent', 'new'),
  'rename of a symlink': (p) => [...rename(p, 'symlink', 'new'), answer(() => p.read('new'))],
  'rename of a fifo': (p) => rename(p, 'fifo', 'new'),
  'rename that replaces nothing': (p) => [
    answer(() => renameWithFlags(p.at('file'), p.at('second'), 1)),
    answer(() => renameWithFlags(p.at('file'), p.at('new'), 1)),
    p.list()
  ],
  'rename that exchanges files': (p) => [
    answer(() => fs.chmodSync(p.at('second'), 0o600)),
    answer(() => renameWithFlags(p.at('file'), p.at('second'), 2)),
    p.stat('file'),
    p.stat('second')
  ],
  'rename that exchanges a file and a directory': (p) => [
    answer(() => renameWithFlags(p.at('file'), p.at('dir'), 2)),
    p.stat('file'),
    p.list('file'),
    p.stat('dir')
  ],
  'link of a file': (p) => [
    answer(() => fs.linkSync(p.at('file'), p.at('new'))),
    answer(() => fs.appendFileSync(p.at('new'), '!')),
    p.read('file'),
    p.stat('file')
  ],
  'link over a name': (p) => [answer(() => fs.linkSync(p.at('file'), p.at('second')))],
  'link of a directory': (p) => [answer(() => fs.linkSync(p.at('dir'), p.at('new')))],
  'link of a symlink': (p) => [
    answer(() => fs.linkSync(p.at('symlink'), p.at('new'))),
    p.stat('new')
  ],
  'a write through a hardlink': (p) => [
    answer(() => fs.appendFileSync(p.at('linked'), '!')),
    p.stat('linked'),
    p.stat('linked-too')
  ],
  'unlink of a file': (p) => [answer(() => fs.unlinkSync(p.at('file'))), p.list(), p.stat('file')],
  'unlink of an open file': (p) => {
    const fd = fs.openSync(p.at('file'), 'r')
    const said = answer(() => fs.unlinkSync(p.at('file')))
    const read = answer(() => fs.readFileSync(fd, 'latin1'))
    const links = answer(() => fs.fstatSync(fd).nlink)
    fs.closeSync(fd)
    return [said, read, links, p.list()]
  },
  'unlink and create again': (p) => [
    answer(() => fs.unlinkSync(p.at('file'))),
    open(p, 'file', O_WRONLY | O_CREAT | O_EXCL, 'new'),
    p.read('file'),
    p.stat('file'),
    p.xattrs('file')
  ],
  'unlink of a directory': (p) => [answer(() => fs.unlinkSync(p.at('empty')))],
  'unlink of a hardlink': (p) => [
    answer(() => fs.unlinkSync(p.at('linked'))),
    p.stat('linked-too')
  ],
  'unlink of nothing': (p) => [answer(() => fs.unlinkSync(p.at('absent')))],
  'rmdir of an empty directory': (p) => [answer(() => fs.rmdirSync(p.at('empty'))), p.list()],
  'rmdir of a full directory': (p) => [answer(() => fs.rmdirSync(p.at('dir')))],
  'rmdir of one that was emptied': (p) => [
    answer(() => fs.unlinkSync(p.at('dir/inside'))),
    answer(() => fs.rmdirSync(p.at('dir/inner'))),
    answer(() => fs.rmdirSync(p.at('dir'))),
    answer(() => fs.mkdirSync(p.at('dir'))),
    p.list('dir')
  ],
  'rmdir of a file': (p) => [answer(() => fs.rmdirSync(p.at('file')))],
  'mkdir of a new name': (p) => [answer(() => fs.mkdirSync(p.at('new'), 0o2750)), p.stat('new')],
  'mkdir over a name': (p) => [
    ...['file', 'dir', 'dangling'].map((name) => answer(() => fs.mkdirSync(p.at(name))))
  ],
  'mkdir in a file': (p) => [answer(() => fs.mkdirSync(p.at('file/new')))],
  'mkdir in a directory with setgid': (p) => [
    answer(() => fs.chownSync(p.at('dir'), 0, 77)),
    answer(() => fs.chmodSync(p.at('dir'), 0o2755)),
    answer(() => fs.mkdirSync(p.at('dir/new'))),
    p.stat('dir/new')
  ],
  'symlink with a long target': (p) => [
    answer(() => fs.symlinkSync('t'.repeat(4095), p.at('new'))),
    p.stat('new'),
    answer(() => fs.symlinkSync('t'.repeat(4096), p.at('newer')))
  ],
  'symlink over a name': (p) => [answer(() => fs.symlinkSync('x', p.at('file')))],
  'readlink of what is none': (p) => [answer(() => fs.readlinkSync(p.at('file')))],
  'truncate to less, then more': (p) => [
    answer(() => fs.truncateSync(p.at('file'), 4)),
    answer(() => fs.truncateSync(p.at('file'), 8)),
    p.read('file')
  ],
  'truncate of a directory': (p) => [answer(() => fs.truncateSync(p.at('dir'), 0))],
  'ftruncate of what is open': (p) => [
    answer(() => {
      const fd = fs.openSync(p.at('file'), 'r+')
      fs.ftruncateSync(fd, 2)
      const { size } = fs.fstatSync(fd)
      fs.closeSync(fd)
      return size
    }),
    p.read('file')
  ],
  'ftruncate of what is open to read': (p) => [
    answer(() => {
      const fd = fs.openSync(p.at('file'), 'r')
      try {
        fs.ftruncateSync(fd, 2)
      } finally {
        fs.closeSync(fd)
      }
    })
  ],
  'utimensat with both times': (p) => [
    answer(() => setTimes(p.at('file'), [5, 6], [-7, 999_999_999])),
    p.mtime('file')
  ],
  'utimensat with now': (p) => [
    answer(() => setTimes(p.at('file'), [0, UTIME_OMIT], [0, UTIME_NOW])),
    p.mtime('file')
  ],
  'utimensat that omits': (p) => [
    answer(() => setTimes(p.at('file'), [9, 9], [0, UTIME_OMIT])),
    p.mtime('file')
  ],
  'utimensat of a symlink': (p) => [
    answer(() => setTimes(p.at('symlink'), [9, 9], [11, 12])),
    p.mtime('symlink'),
    p.mtime('file')
  ],
  'utimensat with what is no time': (p) => [
    answer(() => setTimes(p.at('file'), [0, 1_000_000_000], [0, 0]))
  ],
  'utimensat by another': (p) => [asOther(() => setTimes(p.at('file'), [1, 1], [1, 1]))],
  'times of a directory that changes': (p) => [
    p.mtime('dir'),
    answer(() => fs.writeFileSync(p.at('dir/new'), '')),
    p.mtime('dir')
  ],
  'open to create what is there': (p) => [
    open(p, 'file', O_RDWR | O_CREAT | O_EXCL),
    open(p, 'dangling', O_RDWR | O_CREAT | O_EXCL),
    open(p, 'file', O_RDWR | O_CREAT)
  ],
  'open to create through a symlink': (p) => [
    open(p, 'dangling', O_WRONLY | O_CREAT, 'x'),
    p.stat('nowhere')
  ],
  'open that truncates': (p) => [open(p, 'file', O_WRONLY | O_TRUNC), p.stat('file')],
  'open to append': (p) => [open(p, 'file', O_WRONLY | O_APPEND, '+'), p.read('file')],
  'open that follows nothing': (p) => [
    open(p, 'symlink', O_RDONLY | O_NOFOLLOW),
    open(p, 'file', O_RDONLY | O_NOFOLLOW)
  ],
  'open of a directory alone': (p) => [
    open(p, 'file', O_RDONLY | O_DIRECTORY),
    open(p, 'to-dir', O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
    open(p, 'file/', O_RDONLY)
  ],
  'open of a directory to write': (p) => [open(p, 'dir', O_WRONLY), open(p, 'dir', O_RDWR)],
  'open of what another may not': (p) => [
    answer(() => fs.chmodSync(p.at('file'), 0o600)),
    asOther(() => fs.closeSync(fs.openSync(p.at('file'), O_RDONLY))),
    asOther(() => fs.closeSync(fs.openSync(p.at('second'), O_RDONLY))),
    asOther(() => fs.closeSync(fs.openSync(p.at('second'), O_RDWR)))
  ],
  'a reader sees a later write': (p) => {
    const fd = fs.openSync(p.at('second'), 'r')
    const said = answer(() => fs.writeFileSync(p.at('second'), 'later'))
    const read = answer(() => fs.readFileSync(fd, 'latin1'))
    fs.closeSync(fd)
    return [said, read, p.read('second')]
  },
  'a write past the end': (p) => [
    answer(() => {
      const fd = fs.openSync(p.at('file'), 'r+')
      fs.writeSync(fd, '!', 30)
      fs.closeSync(fd)
    }),
    p.read('file')
  ],
  'xattrs set and replaced': (p) => [
    answer(() => setXattr(p.at('file'), 'user.new', text('1'), 1)),
    answer(() => setXattr(p.at('file'), 'user.new', text('2'), 1)),
    answer(() => setXattr(p.at('file'), 'user.note', text('3'), 2)),
    answer(() => setXattr(p.at('file'), 'user.absent', text('4'), 2)),
    answer(() => getXattr(p.at('file'), 'user.note').toString()),
    p.xattrs('file')
  ],
  'xattrs removed': (p) => [
    answer(() => removeXattr(p.at('file'), 'user.note')),
    answer(() => removeXattr(p.at('file'), 'user.note')),
    p.xattrs('file')
  ],
  'xattrs of a directory': (p) => [
    answer(() => setXattr(p.at('dir'), 'trusted.note', text('x'))),
    p.xattrs('dir')
  ],
  'xattrs of a symlink': (p) => [
    answer(() => setXattr(p.at('symlink'), 'user.note', text('x'))),
    answer(() => setXattr(p.at('symlink'), 'trusted.note', text('x'))),
    p.xattrs('symlink')
  ],
  'xattrs of no known kind': (p) => [answer(() => setXattr(p.at('file'), 'other.x', text('x')))],
  'a capability goes with a write': (p) => [
    answer(() => setXattr(p.at('file'), 'security.capability', capability())),
    answer(() => fs.appendFileSync(p.at('file'), '+')),
    p.xattrs('file')
  ],
  'xattrs that outlive a rename': (p) => [...rename(p, 'file', 'new'), p.xattrs('new')],
  'mknod of each kind': (p) => [
    answer(() => mknod(p.at('new-fifo'), S_IFIFO | 0o600)),
    answer(() => mknod(p.at('new-socket'), S_IFSOCK | 0o600)),
    answer(() => mknod(p.at('new-null'), S_IFCHR | 0o600, 0x103)),
    answer(() => mknod(p.at('new-loop'), S_IFBLK | 0o600, 0x700)),
    ...['new-fifo', 'new-socket', 'new-null', 'new-loop'].map((name) => p.stat(name))
  ],
  'mknod over a name': (p) => [answer(() => mknod(p.at('file'), S_IFIFO | 0o600))],
  'mknod by another': (p) => [
    answer(() => fs.chmodSync(p.at('empty'), 0o777)),
    asOther(() => mknod(p.at('empty/null'), S_IFCHR | 0o600, 0x103)),
    asOther(() => mknod(p.at('empty/fifo'), S_IFIFO | 0o600)),
    p.stat('empty/fifo')
  ],
  'deletes in a sticky directory by another': (p) => [
    asOther(() => fs.unlinkSync(p.at('sticky/roots'))),
    asOther(() => fs.unlinkSync(p.at('sticky/others'))),
    p.list('sticky')
  ],
  'renames in a sticky directory by another': (p) => [
    asOther(() => fs.renameSync(p.at('sticky/roots'), p.at('sticky/new'))),
    asOther(() => fs.renameSync(p.at('sticky/others'), p.at('sticky/roots'))),
    asOther(() => fs.renameSync(p.at('sticky/others'), p.at('sticky/new'))),
    p.list('sticky')
  ],
  'deletes where another may not write': (p) => [
    asOther(() => fs.unlinkSync(p.at('file'))),
    asOther(() => fs.mkdirSync(p.at('new'))),
    asOther(() => fs.writeFileSync(p.at('file'), ''))
  ],
  'a name that is too long': (p) => [
    answer(() => fs.writeFileSync(p.at('n'.repeat(255)), '')),
    answer(() => fs.writeFileSync(p.at('n'.repeat(256)), ''))
  ],
  'symlinks in a circle': (p) => [
    answer(() => fs.symlinkSync('b', p.at('a'))),
    answer(() => fs.symlinkSync('a', p.at('b'))),
    answer(() => fs.readFileSync(p.at('a')))
  ]
}

function capability(): Buffer {
  return Buffer.from('0100000200040000000000000000000000000000', 'hex')
}
