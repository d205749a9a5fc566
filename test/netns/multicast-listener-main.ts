/** Writes each packet of multicast DNS that comes to an address, in hex, a line each, until SIGTERM. The first line is `ready`. */
import { createSocket } from 'node:dgram'

const GROUP = '224.0.0.251'
const PORT = 5353

const socket = createSocket({ type: 'udp4', reuseAddr: true })
socket.on('message', (packet) => process.stdout.write(`${packet.toString('hex')}\n`))
socket.bind(PORT, '0.0.0.0', () => {
  socket.addMembership(GROUP, process.argv[2])
  process.stdout.write('ready\n')
})
process.once('SIGTERM', () => socket.close())
