import { fromLibC } from './system-calls.ts'

/** The variable by which a service manager says where it waits for news (sd_notify(3)). */
const SOCKET_VARIABLE = 'NOTIFY_SOCKET'

// Linux's numbers, the same on x86-64 and arm64.
const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const FAMILY_BYTES = 2

interface LibC {
  socket(domain: number, type: number, protocol: number): number
  sendto(
    fd: number,
    text: Uint8Array,
    textBytes: number,
    flags: number,
    address: Uint8Array,
    addressBytes: number
  ): number
  close(fd: number): number
}

const loadLibC = fromLibC<LibC>({
  socket: 'int socket(int, int, int)',
  sendto: 'intptr_t sendto(int, const uint8_t *, size_t, int, const uint8_t *, unsigned int)',
  close: 'int close(int)'
})

/**
 * Tells the service manager, if one has started this process and waits for it, that it serves. Node.js has no unix
 * datagram sockets.
 *
 * @returns whether anybody was told
 */
export function tellServiceManager(text: 'READY=1' | 'STOPPING=1'): boolean {
  const path = process.env[SOCKET_VARIABLE]
  if (path === undefined || !/^[/@]./.test(path)) return false
  const library = loadLibC()
  // An abstract socket is written with @, and its name begins with NUL.
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : path)
  const address = Buffer.alloc(FAMILY_BYTES + name.length)
  address.writeUInt16LE(AF_UNIX)
  name.copy(address, FAMILY_BYTES)
  const fd = library.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) return false
  const message = Buffer.from(text)
  const sent = library.sendto(fd, message, message.length, 0, address, address.length)
  library.close(fd)
  return sent === message.length
}
