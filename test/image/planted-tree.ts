import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import koffi from 'koffi'
import { CHUNK_BYTES } from '../../src/image/tree/tree.ts'
import { random } from './trees.ts'

/** A new directory under the temporary one; `remove` deletes it. */
export function temporaryDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'dat-container-image-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

export function setXattr(path: string, name: string, value: Buffer): void {
  const call = koffi
    .load(null)
    .func('int lsetxattr(const char *, const char *, const uint8_t *, size_t, int)') as (
    ...values: unknown[]
  ) => number
  if (call(path, name, value, value.length, 0) !== 0) throw new Error(`lsetxattr ${path}`)
}

export function noise(bytes: number, seed = bytes): Buffer {
  const next = random(seed)
  const content = Buffer.allocUnsafe(bytes)
  for (let i = 0; i < bytes; i++) content[i] = next() * 256
  return content
}

export const SPARSE_BYTES = 2 ** 40 + 3

/** Makes one of everything below `root`. Needs root. */
export function plantTree(root: string): void {
  mkdirSync(join(root, 'bin'))
  mkdirSync(join(root, 'empty'), { mode: 0o700 })
  mkdirSync(join(root, 'deep/er/still'), { recursive: true })
  const sh = Buffer.alloc(200_000, 'machine code ')
  Buffer.from('7f454c4602010100000000000000000003003e00', 'hex').copy(sh)
  writeFileSync(join(root, 'bin/dash'), sh)
  symlinkSync('dash', join(root, 'bin/sh'))
  symlinkSync('/nowhere/at all', join(root, 'dangling'))
  writeFileSync(join(root, 'nothing'), '')
  writeFileSync(join(root, 'setuid'), 'x')
  chownSync(join(root, 'setuid'), 1000, 65_534)
  chmodSync(join(root, 'setuid'), 0o6755)
  writeFileSync(join(root, 'noise'), noise(5 * CHUNK_BYTES + 77))
  writeFileSync(join(root, 'deep/er/same-noise'), noise(5 * CHUNK_BYTES + 77))
  writeFileSync(join(root, 'zeros'), Buffer.alloc(3 * CHUNK_BYTES))
  writeFileSync(join(root, 'deep/er/still/hard'), 'linked')
  linkSync(join(root, 'deep/er/still/hard'), join(root, 'hard2'))
  writeFileSync(Buffer.concat([Buffer.from(`${root}/latin1-`), Buffer.from([0xe9, 0xff])]), 'é')
  writeFileSync(join(root, 'x'.repeat(255)), 'long')
  execFileSync('mkfifo', ['-m', '0640', join(root, 'fifo')])
  execFileSync('mknod', [join(root, 'null'), 'c', '1', '3'])
  execFileSync('mknod', [join(root, 'large-numbers'), 'b', '259', '70000'])
  execFileSync('python3', [
    '-c',
    'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])',
    join(root, 'socket')
  ])
  const sparse = openSync(join(root, 'sparse'), 'w')
  writeSync(sparse, 'start', 10)
  writeSync(sparse, noise(2 * CHUNK_BYTES), 0, 2 * CHUNK_BYTES, 100 * CHUNK_BYTES + 5)
  writeSync(sparse, 'end', SPARSE_BYTES - 3)
  closeSync(sparse)
  writeFileSync(join(root, 'hole'), '')
  truncateSync(join(root, 'hole'), 10 * CHUNK_BYTES)
  setXattr(join(root, 'setuid'), 'user.note', Buffer.from([0, 1, 255]))
  setXattr(join(root, 'setuid'), 'trusted.empty', Buffer.alloc(0))
  setXattr(join(root, 'bin'), 'user.note', Buffer.from('on a directory'))
  // Node itself sets times before 1970 to now.
  execFileSync('touch', ['-h', '-d', '@-86400.5', join(root, 'dangling')])
  utimesSync(join(root, 'nothing'), 1, 2 ** 32 + 0.25)
}
