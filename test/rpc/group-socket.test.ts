import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import test from 'brittle'
import { checkedGroupSocket } from '../../src/rpc/group-socket.ts'
import { isContainerError } from '../../src/core/errors.ts'

const SERVICE = 4_243
const OTHER = 4_244

/** A change to a socket that is safe, and what is said of it. */
const UNSAFE: readonly (readonly [what: string, change: (place: Place) => void, said: RegExp])[] = [
  ['a directory that all may search', ({ inner }) => chmodSync(inner, 0o755), /more than reading/],
  ['a directory that its group may write to', ({ inner }) => chmodSync(inner, 0o770), /more than/],
  ['a directory above of another user', ({ above }) => chownSync(above, OTHER, 0), /not belong/],
  ['one that all may write to', ({ above }) => chmodSync(above, 0o1777), /others than root/],
  ['one that a group may write to', ({ above }) => widen(above), /others than root/],
  ['a socket of another user', ({ socket }) => chownSync(socket, OTHER, SERVICE), /owner of/],
  ['a socket for all', ({ socket }) => chmodSync(socket, 0o666), /outside of its group/],
  ['a file', ({ socket }) => replaceByFile(socket), /no socket/]
]

interface Place {
  readonly above: string
  readonly inner: string
  readonly socket: string
}

test('a socket for a group is used only where root has chosen who listens', async (t) => {
  if (process.getuid?.() !== 0) return t.comment('needs root')
  await withSocket(({ socket, above, inner }) => {
    t.is(checkedGroupSocket(socket), socket)
    symlinkSync(inner, join(above, 'link'))
    t.is(checkedGroupSocket(join(above, 'link', 'daemon.sock')), socket, 'without symbolic links')
    t.is(checkedGroupSocket(join(inner, 'none')), undefined)
    t.is(checkedGroupSocket('/no/such/daemon.sock'), undefined)
  })
  for (const [what, change, said] of UNSAFE) {
    await withSocket((place) => {
      change(place)
      try {
        checkedGroupSocket(place.socket)
        t.fail(`${what} is used`)
      } catch (error) {
        t.ok(isContainerError(error, 'IO') && said.test(error.message), `${what}: ${String(error)}`)
      }
    })
  }
})

function widen(path: string): void {
  chownSync(path, 0, OTHER)
  chmodSync(path, 0o775)
}

function replaceByFile(socket: string): void {
  rmSync(socket)
  writeFileSync(socket, '')
  chownSync(socket, SERVICE, SERVICE)
  chmodSync(socket, 0o660)
}

/** A socket as `daemon install` has it. Below /run, because everybody may write to temporary directories. */
async function withSocket(use: (place: Place) => void): Promise<void> {
  const above = mkdtempSync('/run/dat-test-')
  chmodSync(above, 0o755)
  const inner = join(above, 'service')
  const socket = join(inner, 'daemon.sock')
  mkdirSync(inner)
  const server = createServer().listen(socket)
  try {
    await once(server, 'listening')
    for (const path of [inner, socket]) chownSync(path, SERVICE, SERVICE)
    chmodSync(inner, 0o750)
    chmodSync(socket, 0o660)
    use({ above, inner, socket })
  } finally {
    server.close()
    rmSync(above, { recursive: true, force: true })
  }
}
