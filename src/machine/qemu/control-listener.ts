import { rmSync } from 'node:fs'
import { systemError } from '../../core/host/libc.ts'
import { systemCalls } from '../../core/host/system-calls.ts'

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const NAME_BYTES = 108
const BACKLOG = 8

/**
 * Listens at a path for a process that inherits the descriptor: Node.js takes the name of its own
 * sockets away when it closes them.
 *
 * @param path of 107 bytes at most
 * @throws the system's error
 */
export function listenAt(path: string): { readonly fd: number; readonly close: () => void } {
  const self = systemCalls().load(null)
  const socket = self.func('int socket(int, int, int)')
  const bind = self.func('int bind(int, const uint8_t *, unsigned int)')
  const listen = self.func('int listen(int, int)')
  const closeDescriptor = self.func('int close(int)')
  const name = Buffer.from(`${path}\0`)
  const address = Buffer.alloc(2 + NAME_BYTES)
  address.writeUInt16LE(AF_UNIX)
  name.copy(address, 2)
  rmSync(path, { force: true })
  const fd = Number(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))
  if (fd < 0) throw systemError('socket', name)
  const close = (): void => void closeDescriptor(fd)
  if (bind(fd, address, 2 + name.length) !== 0 || listen(fd, BACKLOG) !== 0) {
    const error = systemError('listen', name)
    close()
    throw error
  }
  return { fd, close }
}
