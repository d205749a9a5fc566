import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { PeerAddress } from '../../src/p2p/peer-address.ts'

/** A TCP connection that a test can cut. */
export class Cable {
  readonly address: PeerAddress
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** How often somebody connected. */
  calls = 0

  private constructor(server: Server, port: number, to: PeerAddress, most: number) {
    this.#server = server
    this.address = { host: '127.0.0.1', port }
    server.on('connection', (near) => {
      this.calls++
      const far = connect(to.port, to.host)
      for (const socket of [near, far]) {
        this.#sockets.add(socket)
        socket.on('error', () => {})
      }
      near.pipe(far)
      let passed = 0
      far.on('data', (data) => {
        passed += data.length
        if (passed <= most) near.write(data)
      })
      far.once('end', () => near.end())
    })
  }

  /** @param most bytes of an answer; what follows is lost */
  static async open(to: PeerAddress, most = Infinity): Promise<Cable> {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    return new Cable(server, (server.address() as AddressInfo).port, to, most)
  }

  cut(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}
