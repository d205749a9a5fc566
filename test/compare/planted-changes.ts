import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { mknod, removeXattr, setXattr } from '../fuse/system-calls.ts'

const CHUNK = 65_536
const { S_IFIFO, S_IFCHR } = fs.constants

/** A small tree with something to change of every kind; the same every time. Needs root. */
export function plantComparable(root: string): void {
  const at = (name: string): string => join(root, name)
  fs.mkdirSync(at('directory/inner'), { recursive: true })
  for (const name of ['file', 'acl', 'one', 'alone', 'directory/inner/below']) {
    fs.writeFileSync(at(name), 'content of a file')
  }
  fs.writeFileSync(rawName(root, 0xff), 'raw')
  fs.linkSync(at('one'), at('two'))
  fs.linkSync(at('alone'), at('pair'))
  fs.symlinkSync('target', at('symlink'))
  mknod(at('fifo'), S_IFIFO | 0o600)
  mknod(at('null'), S_IFCHR | 0o600, 0x103)
  for (const space of ['user', 'trusted', 'security']) {
    setXattr(at('file'), `${space}.note`, Buffer.from('kept'))
  }
  setXattr(at('file'), 'security.capability', capability(1))
  execFileSync('setfacl', ['-m', 'u:1000:r', at('acl')])
  execFileSync('setfacl', ['-d', '-m', 'u:1000:rx', at('directory')])
  plantSparse(at('sparse'), 5)
  resetTimes(root)
}

/** Everything below `root` was changed at one moment, half a second past a whole one. */
export function resetTimes(root: string): void {
  execFileSync('find', [root, '-exec', 'touch', '-h', '-d', '@1000.5', '{}', '+'])
}

/** A name that is neither text nor on one line. */
function rawName(root: string, byte: number): Buffer {
  return Buffer.concat([Buffer.from(`${root}/n`), Buffer.from([byte, 0x0a])])
}

/** Two chunks of data with a hole before each, and one behind. */
function plantSparse(path: string, second: number): void {
  const file = fs.openSync(path, 'w')
  fs.writeSync(file, Buffer.alloc(CHUNK, 1), 0, CHUNK, 2 * CHUNK)
  fs.writeSync(file, Buffer.alloc(CHUNK, 2), 0, CHUNK, second * CHUNK)
  fs.closeSync(file)
  fs.truncateSync(path, 9 * CHUNK)
}

/** `security.capability` of version 2: what a program may do. */
function capability(permitted: number): Buffer {
  const value = Buffer.alloc(20)
  value.writeUInt32LE(0x0200_0000, 0)
  value.writeUInt32LE(permitted, 4)
  return value
}

function touch(path: string, seconds: string): void {
  execFileSync('touch', ['-h', '-d', `@${seconds}`, path])
}

export interface Change {
  readonly what: string
  readonly make: (at: (name: string) => string, root: string) => void
  /** The lines that a comparison with the original shows, and no other. */
  readonly seen: readonly (string | RegExp)[]
  /** The change is one of times. */
  readonly times?: true
}

/** One change of each kind. */
export const CHANGES: readonly Change[] = [
  {
    what: 'setuid',
    make: (at) => fs.chmodSync(at('file'), 0o4644),
    seen: ['file: mode: 644 | 4644']
  },
  {
    what: 'setgid',
    make: (at) => fs.chmodSync(at('directory'), 0o2755),
    seen: ['directory: mode: 755 | 2755']
  },
  {
    what: 'sticky',
    make: (at) => fs.chmodSync(at('directory'), 0o1755),
    seen: ['directory: mode: 755 | 1755']
  },
  {
    what: 'the root itself',
    make: (at) => fs.chmodSync(at(''), 0o711),
    seen: ['.: mode: 755 | 711']
  },
  {
    what: 'owner',
    make: (at) => fs.lchownSync(at('symlink'), 7, 0),
    seen: ['symlink: uid: 0 | 7']
  },
  {
    what: 'group',
    make: (at) => fs.chownSync(at('fifo'), 0, 70_000),
    seen: ['fifo: gid: 0 | 70000']
  },
  {
    what: 'a nanosecond',
    make: (at) => touch(at('fifo'), '1000.500000001'),
    seen: ['fifo: mtime: 1000500000000 | 1000500000001'],
    times: true
  },
  {
    what: 'a time before 1970',
    make: (at) => touch(at('directory/inner'), '-5.25'),
    seen: ['directory/inner: mtime: 1000500000000 | -5250000000'],
    times: true
  },
  {
    what: 'a symlink',
    make: (at) => {
      fs.rmSync(at('symlink'))
      fs.symlinkSync('tarGet', at('symlink'))
    },
    seen: ['symlink: target: target | tarGet']
  },
  {
    what: 'a device number',
    make: (at) => {
      fs.rmSync(at('null'))
      mknod(at('null'), S_IFCHR | 0o600, 0x104)
    },
    seen: ['null: device: 103 | 104']
  },
  {
    what: 'a type',
    make: (at) => {
      fs.rmSync(at('fifo'))
      fs.writeFileSync(at('fifo'), '')
    },
    seen: ['fifo: type: fifo | file']
  },
  {
    what: 'a byte of content',
    make: (at) => fs.writeFileSync(at('directory/inner/below'), 'Content of a file'),
    seen: [/^directory\/inner\/below: content: \w{64} \| \w{64}$/]
  },
  {
    what: 'where content stands',
    make: (at) => plantSparse(at('sparse'), 6),
    seen: [
      /^sparse: content: \w{64} \| \w{64}$/,
      'sparse: holes: 131072-196608 327680-393216 | 131072-196608 393216-458752'
    ]
  },
  {
    what: 'a hole that was filled with zeros',
    make: (at) => {
      const file = fs.openSync(at('sparse'), 'r+')
      fs.writeSync(file, Buffer.alloc(CHUNK), 0, CHUNK, 0)
      fs.closeSync(file)
    },
    seen: ['sparse: holes: 131072-196608 327680-393216 | 0-65536 131072-196608 327680-393216']
  },
  {
    what: 'a size',
    make: (at) => fs.truncateSync(at('sparse'), 9 * CHUNK + 1),
    seen: ['sparse: size: 589824 | 589825']
  },
  {
    what: 'which names are one file',
    make: (at) => {
      fs.unlinkSync(at('two'))
      fs.unlinkSync(at('pair'))
      fs.linkSync(at('one'), at('pair'))
      fs.linkSync(at('alone'), at('two'))
    },
    seen: [
      'alone: hardlinks: alone, pair | alone, two',
      'one: hardlinks: one, two | one, pair',
      'pair: hardlinks: alone, pair | one, pair',
      'two: hardlinks: one, two | alone, two'
    ]
  },
  {
    what: 'a link count',
    make: (at, root) => fs.linkSync(at('one'), `${root}.outside`),
    seen: ['one: links: 2 | 3', 'two: links: 2 | 3']
  },
  {
    what: 'a directory more',
    make: (at) => fs.mkdirSync(at('directory/inner/more')),
    seen: ['directory/inner: directory-links: 2 | 3', 'directory/inner/more: only in the second']
  },
  {
    what: 'a name gone',
    make: (at) => fs.rmSync(at('symlink')),
    seen: ['symlink: only in the first']
  },
  {
    what: 'a name that is not text',
    make: (_at, root) => fs.renameSync(rawName(root, 0xff), rawName(root, 0xfe)),
    seen: ['n\\xfe\\x0a: only in the second', 'n\\xff\\x0a: only in the first']
  },
  ...['user', 'trusted', 'security'].map((space): Change => ({
    what: `a ${space} attribute`,
    make: (at) => setXattr(at('file'), `${space}.note`, Buffer.from('lost')),
    seen: [new RegExp(`^file: xattrs: .*${space}\\.note=6b657074.*\\|.*${space}\\.note=6c6f7374`)]
  })),
  {
    what: 'a capability',
    make: (at) => setXattr(at('file'), 'security.capability', capability(3)),
    seen: [/^file: xattrs: security\.capability=0000000201.*\| security\.capability=0000000203/]
  },
  {
    what: 'an attribute of no bytes',
    make: (at) => setXattr(at('directory/inner'), 'user.empty', Buffer.alloc(0)),
    seen: [/^directory\/inner: xattrs: {2}\| user\.empty=$/]
  },
  {
    what: 'an attribute gone',
    make: (at) => removeXattr(at('file'), 'user.note'),
    seen: [/^file: xattrs: .* user\.note=\w+ \| /]
  },
  {
    what: 'an ACL',
    make: (at) => execFileSync('setfacl', ['-m', 'u:1001:r', at('acl')]),
    seen: [/^acl: xattrs: system\.posix_acl_access=\w+ \| system\.posix_acl_access=\w+$/]
  },
  {
    what: 'a default ACL gone',
    make: (at) => execFileSync('setfacl', ['-k', at('directory')]),
    seen: [/^directory: xattrs: system\.posix_acl_default=\w+ \| $/]
  }
]
